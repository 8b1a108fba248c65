// Topics: browse the latest records, filter them, open one whole, and keep what was found as a file.
import { T } from "./texts.js";
import { card, h, moment, number, show, table } from "./dom.js";
import { get } from "./net.js";

const X = T.topics, COUNT = 50;

export function topics(main, chosen) {
  const found = h("div"), one = h("div"), note = h("p", { class: "soft", role: "status" });
  const topic = h("select", { id: "topic" });
  const fields = { key: X.key, record: X.record, field: X.field, value: X.value, position: X.position, since: X.since, until: X.until };
  const inputs = Object.fromEntries(Object.keys(fields).map(name => [name, h("input", { id: `of-${name}`, autocomplete: "off",
    type: name === "since" || name === "until" ? "datetime-local" : "text", placeholder: name === "position" ? X.positionHint : null })]));
  const download = h("a", { hidden: true, download: "records.json" }, X.download);
  const form = h("form", { class: "filter" }, h("label", {}, X.topic, topic), Object.entries(fields).map(([name, label]) => h("label", {}, label, inputs[name])),
    h("button", { class: "main" }, X.find), download);
  show(main, card("", X.heading, form, note, found), one);
  let turn = 0, ended = false;
  form.addEventListener("submit", event => { event.preventDefault(); find(); });
  topic.addEventListener("change", () => find());

  async function find() {
    const own = ++turn, query = new URLSearchParams({ limit: String(COUNT) });
    for (const [name, input] of Object.entries(inputs)) {
      const text = input.value.trim();
      if (text) query.set(name, name === "since" || name === "until" ? new Date(text).toISOString() : text);
    }
    note.textContent = T.loading; show(one); download.hidden = true;
    let answer;
    try { answer = await get(`/v1/operator/topics/${topic.value}/records?${query}`); } catch (error) { if (own === turn) { note.textContent = T.failed(error.message); show(found); } return; }
    if (own !== turn || ended) return;
    note.textContent = `${X.read(number(answer.read), number(answer.items.length))}${answer.stopped ? ` ${X.stopped(answer.stopped)}` : ""}`;
    URL.revokeObjectURL(download.href);
    download.href = URL.createObjectURL(new Blob([JSON.stringify(answer.items, null, 1)], { type: "application/json" })); download.hidden = !answer.items.length;
    show(found, answer.items.length ? table(X.heading, [[X.place], [X.time], [X.recordColumn], [X.keyColumn], [X.positionColumn]],
      [...answer.items].reverse().map(item => [h("button", { class: "link", type: "button", onclick: () => open(item) }, `${item.partition}-${item.offset}`), h("time", { datetime: item.time }, moment(item.time)), item.record || "?", item.key, item.position]))
      : h("p", {}, X.nothing));
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

  async function start() {
    let page;
    try { page = await get("/v1/operator/topics"); } catch (error) { note.textContent = T.failed(error.message); return; }
    show(topic, page.items.map(item => h("option", { value: item.name, selected: item.name === (chosen || "tickets.facts") }, `${item.name} (${number(item.partitions)} ${X.partitions}, ${number(item.records)} ${X.recordsAbout})`)));
    await find();
  }
  start();
  return { state() {}, end() { ended = true; URL.revokeObjectURL(download.href); } };
}

export const pre = value => h("pre", { tabindex: "0" }, JSON.stringify(value, null, 2));
