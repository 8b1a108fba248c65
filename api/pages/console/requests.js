// The slowest requests of the last ten minutes, with their traces.
import { T } from "./texts.js";
import { card, clock, h, number, show, table } from "./dom.js";
import { get } from "./net.js";

const X = T.slow, EVERY_MS = 5000;

export function requests(main) {
  const view = h("div"), note = h("p", { class: "soft" }, X.note), state = h("p", { class: "soft", role: "status" }, T.loading);
  show(main, card("", X.heading, note, state, view));
  let timer = 0, ended = false;
  async function read() {
    if (!document.hidden) {
      try {
        const { items } = await get("/v1/operator/slow-requests");
        state.textContent = items.length ? "" : X.nothing;
        show(view, items.length ? table(X.heading, [[X.took, true], [X.status, true], [X.route], [X.at], [X.trace]],
          items.map(one => [T.milliseconds(number(Math.round(one.seconds * 1000))), String(one.status), `${one.method} ${one.route}`, h("time", { datetime: new Date(one.at * 1000).toISOString() }, clock(one.at * 1000)), one.trace || "–"])) : null);
      } catch (error) { state.textContent = T.failed(error.message); }
    }
    if (!ended) timer = setTimeout(read, EVERY_MS);
  }
  read();
  return { state() {}, end() { ended = true; clearTimeout(timer); } };
}
