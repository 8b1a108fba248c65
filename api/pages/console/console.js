// The console's frame: tabs by address, one live stream of the platform's state for all of them. At /dashboard the
// browser has the operator's token; at /dashboard/sign-in an operator by role signs in first.
import { PAGES, T } from "./texts.js";
import { $, h, show } from "./dom.js";
import { get, listen } from "./net.js";
import { alerts } from "./alerts.js";
import { events } from "./events.js";
import { follow } from "./follow.js";
import { groups } from "./groups.js";
import { health } from "./health.js";
import { letters } from "./letters.js";
import { overview } from "./overview.js";
import { requests } from "./requests.js";
import { session } from "./session.js";
import { topics } from "./topics.js";

const VIEWS = { overview, alerts, events, topics, groups, follow, letters, requests }, STATE = "/v1/operator/stream";
let name = "", view = null, platform = null, endStream = null, signed = null;

function route() {
  const [wanted, argument] = location.hash.replace(/^#\/?/, "").split("/");
  const next = wanted in VIEWS ? wanted : "overview", value = argument ? decodeURIComponent(argument) : "";
  if (next === name && view && view.open) { view.open(value); return; }
  if (next === name) return;
  if (view) view.end();
  name = next;
  show($("tabs"), Object.keys(VIEWS).map(key => h("a", { href: `#/${key}`, "aria-current": key === name ? "page" : null }, T.tabs[key])));
  $("content").replaceChildren();
  view = VIEWS[name]($("content"), value);
  document.title = `${T.tabs[name]} – ${PAGES.console}`;
  if (platform) view.state(platform);
}

const states = { live: T.live, away: T.away, refused: T.refused };
function connection(state) {
  const line = $("connection");
  if (line.textContent !== states[state]) line.textContent = states[state];
  line.className = state === "live" ? "state good" : "state bad";
  if (state === "refused" && signed) signed.ended();  // 403: the account is no operator's any more
}

function begin() {
  $("connection").textContent = T.connecting;
  addEventListener("hashchange", route);
  route();
  endStream = listen(STATE, (_name, data) => { platform = data; health($("health"), data); view.state(data); }, connection);
}

function end() {
  if (endStream === null) return;
  endStream(); view.end();
  removeEventListener("hashchange", route);
  name = ""; view = platform = endStream = null;
  $("connection").textContent = "";
  show($("tabs")); show($("health")); show($("account"));
}

if (location.pathname.endsWith("/sign-in")) {
  signed = session($("content"), {
    note: T.signInOperator, reloads: true, end,
    async begin() {
      await get("/v1/operator/platform");  // a refusal is shown at the form
      $("content").replaceChildren();
      show($("account"), h("button", { type: "button", onclick: () => signed.signOut() }, T.signOut));
      begin();
    },
  });
} else begin();
