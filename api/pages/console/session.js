// Signs a person in with the API's own tokens. They are in the memory of this tab, never in an address or a cookie.
import { T } from "./texts.js";
import { $, h, show } from "./dom.js";
import { Refused, post, use, whenRefused } from "./net.js";

const EARLY_MS = 60000;  // before its end, an access token is replaced
const KEPT = "circle-session";

/**
 * A session of this tab. `begin()` is called with each new sign-in and shows the page; what it throws is shown at the
 * form. `end()` is called before the form is shown. With `reloads` the session survives a reload: only while the page
 * is being replaced its tokens are in the storage of the tab, so a copy of the tab has none.
 */
export function session(parent, { heading = T.signIn, note = "", begin, end = () => {}, reloads = false }) {
  let tokens = null, timer = 0, until = 0;

  function keep(next) {
    tokens = next; use(next.access_token);
    until = next.until || Date.now() + next.expires_in * 1000;
    clearTimeout(timer);
    timer = setTimeout(renew, Math.max(1000, until - Date.now() - EARLY_MS));
  }
  async function renew() {
    try { keep(await post("/v1/auth/refresh", { refresh_token: tokens.refresh_token })); }
    catch (error) {
      if (tokens && Date.now() < until && !(error instanceof Refused && error.status < 500)) { timer = setTimeout(renew, 5000); return; }  // an outage
      if (tokens) form(T.signedOut);
    }
  }
  function forget() { clearTimeout(timer); tokens = null; use(""); end(); }

  function form(said = "") {
    forget();
    const text = h("p", { role: "status", class: said ? "note" : "soft" }, said || note);
    const field = (id, label, type, complete) => h("label", {}, label, h("input", { id, type, autocomplete: complete, required: id !== "otp" }));
    const button = h("button", { class: "main" }, T.signIn);
    const entry = h("form", { class: "filter" }, field("email", T.email, "email", "username"), field("password", T.password, "password", "current-password"), field("otp", T.otp, "text", "one-time-code"), button);
    entry.addEventListener("submit", async event => {
      event.preventDefault();
      button.disabled = true;
      const otp = $("otp").value.trim();
      try { keep(await post("/v1/auth/login", { email: $("email").value, password: $("password").value, ...(otp ? { otp } : {}) })); await begin(); }
      catch (error) { button.disabled = false; forget(); text.className = "note"; text.textContent = error instanceof TypeError ? T.cannotReach : error.message; }
    });
    show(parent, h("section", { class: "card", "aria-label": heading }, h("h2", {}, heading), text, entry));
  }

  async function resume() {
    const kept = reloads ? sessionStorage.getItem(KEPT) : null;
    sessionStorage.removeItem(KEPT);
    if (!kept) { form(); return; }
    try { keep(JSON.parse(kept)); await begin(); } catch (error) { form(error instanceof TypeError ? T.cannotReach : T.signedOut); }
  }
  if (reloads) {
    addEventListener("pagehide", () => { if (tokens) sessionStorage.setItem(KEPT, JSON.stringify({ ...tokens, until })); });
    addEventListener("pageshow", event => { if (event.persisted) sessionStorage.removeItem(KEPT); });
  }
  whenRefused(() => { if (tokens) form(T.signedOut); });
  resume();
  return {
    ended() { form(T.signedOut); },
    async signOut() {
      const { refresh_token: last } = tokens || {};
      form(T.signedOutNow);
      if (last) try { await post("/v1/auth/logout", { refresh_token: last }); } catch (error) { console.warn(error.message); }
    },
  };
}
