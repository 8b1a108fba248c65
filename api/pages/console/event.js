// The page of an event's sales. Its organizer signs in; the token stays in this tab's memory and ends with it.
import { T } from "./texts.js";
import { $, h, show } from "./dom.js";
import { drop } from "./drop.js";
import { get, post, use } from "./net.js";

const EVENT = location.pathname.split("/").pop(), EARLY_MS = 60000;
let end = () => {}, timer = 0;

function signIn(note = "") {
  end(); end = () => {}; clearTimeout(timer); use("");
  const text = h("p", { role: "status", class: note ? "note" : "soft" }, note || T.signInNote);
  const field = (id, label, type, complete) => h("label", {}, label, h("input", { id, type, autocomplete: complete, required: id !== "otp" }));
  const button = h("button", { class: "main" }, T.signIn);
  const form = h("form", { class: "filter" }, field("email", T.email, "email", "username"), field("password", T.password, "password", "current-password"), field("otp", T.otp, "text", "one-time-code"), button);
  form.addEventListener("submit", async event => {
    event.preventDefault();
    button.disabled = true;
    const otp = $("otp").value.trim();
    try { await begin(await post("/v1/auth/login", { email: $("email").value, password: $("password").value, ...(otp ? { otp } : {}) })); }
    catch (error) { button.disabled = false; text.className = "note"; text.textContent = error instanceof TypeError ? T.cannotReach : error.message; }
  });
  show($("content"), h("section", { class: "card", "aria-label": T.signIn }, h("h2", {}, T.signIn), text, form));
}

async function begin(tokens) {
  keep(tokens);
  await get(`/v1/events/${EVENT}/sales`);  // a refusal is shown at the form
  end = drop($("content"), EVENT, `/v1/events/${EVENT}/sales`);
}

function keep(tokens) {
  use(tokens.access_token);
  timer = setTimeout(async () => {
    try { keep(await post("/v1/auth/refresh", { refresh_token: tokens.refresh_token })); } catch { signIn(T.signedOut); }
  }, Math.max(1000, tokens.expires_in * 1000 - EARLY_MS));
}

signIn();
