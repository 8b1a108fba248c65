// Alerts: those that fire and those that have resolved, by pages, and the runbook of each.
import { T } from "./texts.js";
import { card, h, moment, number, show, table } from "./dom.js";
import { get, text } from "./net.js";
import { markdown } from "./markdown.js";

const X = T.alerts, COUNT = 50, EVERY_MS = 10000;

/** The address of a runbook in the console: #/alerts/lag for ops/docs/runbooks/lag.md. */
export const runbookLink = one => h("a", { href: `#/alerts/${one.runbook.split("/").pop().replace(/\.md$/, "")}`, "aria-label": X.runbookOf(one.alert) }, X.runbook);

/** What is wrong, in the language of the page. */
export const whatIsWrong = one => X.wrong[one.alert]?.(one.about, number(Number(one.value.toPrecision(4)))) ?? one.summary;

export function alerts(main, chosen) {
  const list = h("div"), more = h("button", { type: "button", hidden: true }, T.more), note = h("p", { class: "soft", role: "status" }, T.loading), book = h("div");
  show(main, book, card("", X.heading, h("p", { class: "soft" }, X.note), note, list, more));
  let pages = 1, timer = 0, turn = 0;

  /** Reads as many pages as are shown, so that a state that changes is seen on each of them. */
  async function read() {
    const own = ++turn;
    clearTimeout(timer);
    if (!document.hidden) {
      try {
        let cursor = null, items = [];
        for (let page = 0; page < pages; page++) {
          const answer = await get(`/v1/alerts?${new URLSearchParams({ limit: String(COUNT), ...(cursor ? { cursor } : {}) })}`);
          items = [...items, ...answer.items]; cursor = answer.next_cursor;
          if (!cursor) break;
        }
        if (own !== turn) return;
        more.hidden = !cursor;
        note.textContent = items.length ? "" : X.nothing;
        show(list, items.length ? table(X.heading, [[X.state], [X.summary], [X.alert], [X.fired], [X.resolved], [X.runbook]], items.map(row)) : null);
      } catch (error) { if (own === turn) note.textContent = T.failed(error.message); }
    }
    if (own === turn) timer = setTimeout(read, EVERY_MS);
  }
  async function open(name) {
    chosen = name;
    if (!name) { show(book); return; }
    try {
      const found = await text(`/dashboard/files/${encodeURIComponent(name)}.md`);
      if (name !== chosen) return;
      show(book, h("section", { class: "card runbook", "aria-label": X.runbookOf(name) }, markdown(found), h("p", {}, h("a", { href: "#/alerts" }, X.close))));
      book.scrollIntoView({ block: "nearest" });
    } catch (error) { show(book, card("", X.runbookOf(name), h("p", { class: "note" }, T.failed(error.message)))); }
  }
  more.addEventListener("click", () => { pages += 1; read(); });
  open(chosen); read();
  return { state() {}, open, end() { turn = -1; clearTimeout(timer); } };
}

function row(one) {
  return [h("span", { class: one.status === "firing" ? one.severity === "critical" ? "bad" : "warn" : "good" }, X.states[one.status] || one.status),
    whatIsWrong(one), one.alert + (one.about ? `: ${one.about}` : ""), h("time", { datetime: one.fired_at }, moment(one.fired_at)),
    one.resolved_at ? h("time", { datetime: one.resolved_at }, moment(one.resolved_at)) : "–", runbookLink(one)];
}
