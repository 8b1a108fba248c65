// Groups and partitions: who reads which topic, and how far behind each is. Read again every ten seconds while seen.
import { T } from "./texts.js";
import { card, h, number, show, table, word } from "./dom.js";
import { get } from "./net.js";

const X = T.groups, EVERY_MS = 10000;
const isUnlisted = one => one.state.toLowerCase() === "stable" && !one.members.length;  // a stable group has members

export function groups(main) {
  const view = h("div", { class: "stack" }), note = h("p", { class: "soft", role: "status" }, T.loading);
  show(main, card("", X.heading, note, view));
  let timer = 0, ended = false;
  async function read() {
    if (!document.hidden) {
      try {
        const { items } = await get("/v1/operator/groups");
        note.textContent = !items.length ? X.nothing : items.some(isUnlisted) ? X.noMembers : "";
        show(view, table(X.heading, [[X.group], [X.lag, true], [X.seconds, true], [X.members, true], [X.state], [X.topic]],
          items.map(one => [one.name, one.unknown ? "?" : number(one.lag_records), T.seconds(number(one.lag_seconds)), isUnlisted(one) ? "–" : number(one.members.length), word(one.state.toLowerCase()), one.topic])),
        items.map(one => [h("h3", {}, X.partitionsOf(one.name)), one.unknown ? h("p", { class: "note" }, one.unknown) : table(X.partitionsOf(one.name), [[X.partition, true], [X.next, true], [X.end, true], [X.lag, true], [X.seconds, true], [X.member]],
          one.partitions.map(part => [number(part.partition), part.next_offset === null ? "–" : number(part.next_offset), number(part.end), number(part.lag_records), T.seconds(number(part.lag_seconds)), part.member]))]));
      } catch (error) { note.textContent = T.failed(error.message); }
    }
    if (!ended) timer = setTimeout(read, EVERY_MS);
  }
  read();
  return { state() {}, end() { ended = true; clearTimeout(timer); } };
}
