// Topics: browse records by pages, filter them, open one whole, and export what matches as a file.
import { T } from "./texts.js";
import { card, h, moment, number, show, table } from "./dom.js";
import { get } from "./net.js";

const X = T.topics, COUNT = 50, EXPORTED_AT_ONCE = 200, EXPORTED_MAX = 10000;
const TIMES = ["since", "until"];

export function topics(main, chosen) {
  const found = h("div"), one = h("div"), note = h("p", { class: "soft", role: "status" });
  const topic = h("select", { id: "topic" }), partition = h("select", { id: "partition" });
  const fields = { key: X.key, record: X.record, field: X.field, value: X.value, position: X.position, since: X.since, until: X.until };
  const inputs = Object.fromEntries(Object.keys(fields).map(name => [name, h("input", { id: `of-${name}`, autocomplete: "off",
    type: TIMES.includes(name) ? "datetime-local" : "text", step: TIMES.includes(name) ? "1" : null, placeholder: name === "position" ? X.positionHint : null })]));
  const exporting = h("button", { type: "button", hidden: true, onclick: () => exportAll() }, X.download);
  const form = h("form", { class: "filter" }, h("label", {}, X.topic, topic), h("label", {}, X.partition, partition),
    Object.entries(fields).map(([name, label]) => h("label", {}, label, inputs[name])), h("button", { class: "main" }, X.find), exporting);
  const before = h("button", { type: "button", onclick: () => { cursors.pop(); find(); } }, X.pageBefore);
  const after = h("button", { type: "button", onclick: () => { cursors.push(next); find(); } }, X.pageAfter);
  const pages = h("nav", { class: "pages", "aria-label": X.pages, hidden: true }, before, h("span", { class: "soft" }), after);
  show(main, card("", X.heading, form, note, found, pages), one);
  let turn = 0, ended = false, cursors = [null], next = null, known = [];
  form.addEventListener("submit", event => { event.preventDefault(); first(); });
  topic.addEventListener("change", () => { partitionsOf(); first(); });
  partition.addEventListener("change", () => first());

  function first() { cursors = [null]; return find(); }
  const oldestFirst = () => ["since", "until", "position"].some(name => inputs[name].value.trim());

  function query(limit, cursor) {
    const asked = new URLSearchParams({ limit: String(limit) });
    for (const [name, input] of Object.entries(inputs)) {
      const text = input.value.trim();
      if (text) asked.set(name, TIMES.includes(name) ? new Date(text).toISOString() : text);
    }
    if (partition.value) asked.set("partition", partition.value);
    if (cursor) asked.set("cursor", cursor);
    return `/v1/operator/topics/${topic.value}/records?${asked}`;
  }

  async function find() {
    const own = ++turn;
    note.textContent = T.loading; show(one); exporting.hidden = true; before.disabled = after.disabled = true;
    let answer;
    try { answer = await get(query(COUNT, cursors[cursors.length - 1])); }
    catch (error) { if (own === turn) { note.textContent = T.failed(error.message); show(found); before.disabled = cursors.length < 2; } return; }
    if (own !== turn || ended) return;
    next = answer.next_cursor;
    before.disabled = cursors.length < 2; after.disabled = !next;
    pages.hidden = cursors.length < 2 && !next; pages.children[1].textContent = X.page(number(cursors.length));
    note.textContent = `${X.read(number(answer.read), number(answer.items.length))}${answer.stopped ? ` ${X.stopped(answer.stopped)}` : ""}`;
    exporting.hidden = !answer.items.length;
    const items = oldestFirst() ? answer.items : [...answer.items].reverse();
    show(found, items.length ? table(X.heading, [[X.place], [X.recordColumn], [X.time], [X.keyColumn], [X.positionColumn]],
      items.map(item => [h("button", { class: "link", type: "button", onclick: () => open(item) }, `${item.partition}-${item.offset}`), item.record || "?", h("time", { datetime: item.time }, moment(item.time)), item.key, item.position]))
      : h("p", {}, X.nothing));
  }

  /** Every record that matches, up to a bound, from this page on. A file that ends at the bound says so. */
  async function exportAll() {
    const own = turn;
    let items = [], cursor = cursors[cursors.length - 1];
    exporting.disabled = true;
    try {
      do {
        const answer = await get(query(EXPORTED_AT_ONCE, cursor));
        if (own !== turn || ended) return;
        items = [...items, ...(oldestFirst() ? answer.items : answer.items.reverse())]; cursor = answer.next_cursor;
        note.textContent = X.exporting(number(items.length));
      } while (cursor && items.length < EXPORTED_MAX);
      const file = URL.createObjectURL(new Blob([JSON.stringify(items.slice(0, EXPORTED_MAX), null, 1)], { type: "application/json" }));
      h("a", { href: file, download: `${topic.value}.json` }).click();
      setTimeout(() => URL.revokeObjectURL(file), 60000);
      note.textContent = cursor ? X.exportedPart(number(EXPORTED_MAX)) : X.exported(number(items.length));
    } catch (error) { note.textContent = T.failed(error.message); } finally { exporting.disabled = false; }
  }

  async function open(item) {
    show(one, card("", `${item.topic} ${item.partition}-${item.offset}`, h("p", { class: "soft" }, T.loading)));
    try {
      const { record, writer_schema: schema } = await get(`/v1/operator/topics/${item.topic}/records/${item.partition}-${item.offset}`);
      show(one, card("", `${record.topic} ${record.partition}-${record.offset}`, record.undecodable ? h("p", { class: "note" }, X.undecodable(record.undecodable), " ", record.value_hex) : null,
        h("h3", {}, X.fields), pre(record.fields), h("h3", {}, X.headers), pre(record.headers),
        schema ? [h("h3", {}, `${X.schema} ${record.schema_id}`), pre(schema)] : null));
      one.scrollIntoView({ block: "nearest" });
    } catch (error) { show(one, card("", item.topic, h("p", { class: "note" }, T.failed(error.message)))); }
  }

  function partitionsOf() {
    const of = known.find(item => item.name === topic.value);
    show(partition, h("option", { value: "" }, X.everyPartition), Array.from({ length: of ? of.partitions : 0 }, (_, i) => h("option", { value: String(i) }, String(i))));
  }

  async function start() {
    try { known = (await get("/v1/operator/topics")).items; }
    catch (error) {
      note.textContent = T.failed(error.message);
      if (!ended) setTimeout(() => { if (!ended) start(); }, 5000);
      return;
    }
    show(topic, known.map(item => h("option", { value: item.name, selected: item.name === (chosen || "tickets.facts") }, `${item.name} (${number(item.partitions)} ${X.partitions}, ${number(item.records)} ${X.recordsAbout})`)));
    partitionsOf();
    await first();
  }
  start();
  return { state() {}, end() { ended = true; } };
}

export const pre = value => h("pre", { tabindex: "0" }, typeof value === "string" ? value : JSON.stringify(value, null, 2));
