// The console's frame: tabs by address, one live stream of the platform's state for all of them.
import { T } from "./texts.js";
import { $, h, show } from "./dom.js";
import { listen } from "./net.js";
import { events } from "./events.js";
import { follow } from "./follow.js";
import { groups } from "./groups.js";
import { health } from "./health.js";
import { letters } from "./letters.js";
import { overview } from "./overview.js";
import { requests } from "./requests.js";
import { topics } from "./topics.js";

const VIEWS = { overview, events, topics, groups, follow, letters, requests };
let name = "", view = null, platform = null;

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
  document.title = `${T.tabs[name]} – ${T.title}`;
  if (platform) view.state(platform);
}

const states = { live: T.live, away: T.away, refused: T.refused };
function connection(state) {
  const line = $("connection");
  if (line.textContent !== states[state]) line.textContent = states[state];
  line.className = state === "live" ? "state good" : "state bad";
}

$("connection").textContent = T.connecting;
addEventListener("hashchange", route);
route();
listen("/v1/operator/stream", (_name, data) => { platform = data; health($("health"), data); view.state(data); }, connection);
