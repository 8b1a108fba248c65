// The events, by pages and by words, and the drop of the chosen one. Works with 10,000 events: a page has twenty.
import { T } from "./texts.js";
import { h, show, soon } from "./dom.js";
import { drop } from "./drop.js";
import { get } from "./net.js";

const AGAIN_MS = 5000, WAIT_MS = 250;  // after a key, before the search

export function events(main, chosen) {
  const list = h("ul", { class: "list" }), more = h("button", { hidden: true }, T.more), note = h("p", { class: "soft" });
  const search = h("input", { type: "search", id: "search", autocomplete: "off" }), view = h("div", { class: "view" });
  show(main, h("section", { class: "card side", "aria-label": T.events }, h("h2", {}, T.events), h("label", {}, T.searchEvents, search), note, list, more), view);
  let endDrop = () => {}, cursor = null, items = [], turn = 0, timer = 0;
  async function page(first) {
    const own = first ? ++turn : turn, words = search.value.trim();
    if (first) { cursor = null; items = []; }
    const query = new URLSearchParams({ limit: "20", sort: "-created_at", ...(words ? { q: words } : {}), ...(cursor ? { cursor } : {}) });
    let answer;
    try { answer = await get(`/v1/events?${query}`); } catch (error) {
      if (own !== turn) return;
      show(note, T.failed(error.message));
      timer = setTimeout(() => page(first), AGAIN_MS);
      return;
    }
    if (own !== turn) return;
    items = [...items, ...answer.items]; cursor = answer.next_cursor; more.hidden = !cursor;
    show(note, items.length ? "" : words ? T.noMatches : T.noEvents);
    draw();
    if (!chosen && items.length) location.replace(`#/events/${items[0].id}`);
  }
  function draw() {
    show(list, items.map(event => {
      const button = h("button", { "aria-pressed": String(event.id === chosen) }, h("b", {}, event.title), h("span", { class: "soft" }, `${event.venue}, ${soon(event.starts_at)}`));
      button.addEventListener("click", () => { location.hash = `#/events/${event.id}`; });
      return h("li", {}, button);
    }));
  }
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => page(true), WAIT_MS); });
  more.addEventListener("click", () => page(false));
  function open(id) {
    chosen = id; endDrop(); draw();
    if (!id) { endDrop = () => {}; show(view, h("p", { class: "card soft" }, T.choose)); return; }
    endDrop = drop(view, id, `/v1/operator/events/${id}/sales`);
  }
  open(chosen); page(true);
  return { state() {}, open, end() { turn = -1; endDrop(); clearTimeout(timer); } };
}
