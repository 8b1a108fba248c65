// The public status: whether selling works, which services answer, which dataflows keep dying, and since when.
import { PAGES, T } from "./texts.js";
import { $, card, h, moment, show, soon, table } from "./dom.js";
import { get } from "./net.js";

const X = T.status, EVERY_MS = 3000, main = $("content"), connection = $("connection");
const verdict = h("p", { role: "status" }), details = h("p", { class: "soft" }), services = h("div"), dataflows = h("div");
let timer = 0;

show(main, h("section", { class: "card", "aria-label": PAGES.status }, verdict, details), card("half", X.services, services), card("half", X.dataflows, dataflows));

const word = (value, good) => value === null ? h("span", { class: "warn" }, X.unknownWord) : h("span", { class: value === good ? "good" : "bad" }, value ? X.yes : X.no);
const since = time => time === null ? "–" : h("time", { datetime: time, title: moment(time) }, soon(time));

function draw(status) {
  connection.textContent = T.live; connection.className = "state good";
  verdict.className = status.selling ? "good" : "bad";
  verdict.textContent = status.selling ? X.selling : X.notSelling;
  details.textContent = `${X.since(moment(status.since))} ${X.seen(moment(status.at))}`;
  show(services, table(X.services, [[X.service], [X.answers], [X.sinceColumn]],
    status.services.map(one => [T.services[one.name] || one.name, word(one.answers, true), since(one.since)])));
  show(dataflows, table(X.dataflows, [[X.dataflow], [X.dying], [X.sinceColumn]],
    status.dataflows.map(one => [one.name, word(one.keeps_dying, false), since(one.since)])));
}

function away() {
  connection.textContent = T.away; connection.className = "state bad";
  verdict.className = "warn"; verdict.textContent = X.unknown;
  details.textContent = ""; show(services); show(dataflows);
}

async function read() {
  clearTimeout(timer);
  if (!document.hidden) {
    try { draw(await get("/v1/status")); } catch { away(); }
  }
  timer = setTimeout(read, EVERY_MS);
}
document.addEventListener("visibilitychange", read);
read();
