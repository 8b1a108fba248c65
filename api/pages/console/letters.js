// Dead letters of every topic, and rows that were set aside: list, content, and the way back, mended where asked.
import { T } from "./texts.js";
import { card, h, moment, show, table } from "./dom.js";
import { get, post } from "./net.js";
import { pre } from "./topics.js";

const X = T.letters, AGAIN_MS = 5000, WAITS_MS = 1000;
const PAYMENTS = "payments";  // a flow that applies facts where they are, as branches of the read side do
const ROWS = "projections";  // a fact that they set aside needs a rebuild of the rows
const WAITING = "waiting";

export function letters(main) {
  const list = h("div"), one = h("div"), note = h("p", { class: "soft", role: "status" }, T.loading);
  const rowList = h("div"), rowNote = h("p", { class: "soft", role: "status" }, T.loading);
  show(main, card("", X.heading, note, list), one, card("", X.rows, h("p", { class: "soft" }, X.rowsNote), rowNote, rowList));
  let ended = false, waits = 0, chosen = null, reading = 0;
  const again = work => setTimeout(() => { if (!ended) work(); }, AGAIN_MS);
  async function read() {
    const mine = ++reading;
    try {
      const { items } = await get("/v1/operator/dead-letters");
      if (mine !== reading) return;  // a later question has the later answer
      note.textContent = items.length ? "" : X.nothing;
      show(list, items.length ? table(X.heading, [[X.topic], [X.record], [X.since], [X.state], [X.error]], items.map(letter => [
        h("button", { class: "link", type: "button", onclick: () => open(letter) }, `${letter.origin_topic} ${letter.origin_partition}-${letter.origin_offset}`),
        letter.record || "?", h("time", { datetime: letter.put_aside_at }, moment(letter.put_aside_at)), state(letter), letter.error])) : null);
    } catch (error) { note.textContent = T.failed(error.message); again(read); }
  }
  async function open(letter) {
    const path = `/v1/operator/dead-letters/${letter.topic.replace(/\.dead-letters$/, "")}/${letter.offset}`;
    const heading = `${letter.origin_topic} ${letter.origin_partition}-${letter.origin_offset}`;
    clearTimeout(waits);
    chosen = letter;
    try {
      const found = await get(path);
      if (chosen !== letter) return;
      const result = h("p", { class: "soft", role: "status" }, letter.applied_by ? X.audited : X.sure);
      const text = h("textarea", { id: "mended", spellcheck: "false" });
      text.value = JSON.stringify({ type: found.letter.record || found.partly, ...found.fields }, null, 2);
      const send = async body => {
        try { const answer = await post(`${path}/redrive`, body); result.textContent = answer.changed.length ? X.changed(answer.changed.join(", ")) : X.sent; await read(); }
        catch (error) { result.textContent = T.failed(error.message); }
      };
      const apply = async button => {
        button.disabled = true;
        try { await post(`${path}/redrive`, {}); await open(letter); await read(); }
        catch (error) { result.textContent = T.failed(error.message); button.disabled = false; }
      };
      const mended = () => { try { send({ edited: JSON.parse(text.value) }); } catch (error) { result.textContent = T.failed(error.message); } };
      const fact = letter.origin_topic === "tickets.facts", rows = letter.set_aside_by === ROWS, again = fact && letter.applied_by;
      show(one, card("", heading, h("p", {}, letter.error), found.undecodable ? h("p", { class: "note" }, T.topics.undecodable(found.undecodable), " ", found.value_hex) : null,
        h("h3", {}, T.topics.fields), pre(found.fields), h("h3", {}, T.topics.headers), pre(found.headers),
        found.letter.redriven ? rows ? h("p", { class: "good", role: "status" }, X.rebuilt) : outcome(found.letter.redrive)
          : again ? [h("p", { class: "soft" }, again === PAYMENTS ? X.applyPayment : X.apply), result, h("p", { class: "chips" }, h("button", { type: "button", class: "main", onclick: event => apply(event.target) }, X.applyAgain))]
          : fact ? [h("p", { class: "note" }, rows ? X.factRows : found.undecodable ? X.unreadable : X.facts), rows ? null : pre(X.command(letter.offset)), pre(X.rebuild)] : [
          h("h3", {}, X.mend), h("p", { class: "soft" }, X.mendNote), h("label", {}, X.whole, text), result,
          h("p", { class: "chips" }, found.undecodable ? null : h("button", { type: "button", onclick: () => send({}) }, X.redrive), h("button", { type: "button", class: "main", onclick: mended }, X.mend))]));
      one.scrollIntoView({ block: "nearest" });
      if (found.letter.redrive && found.letter.redrive.state === WAITING) waits = setTimeout(async () => { if (!ended) { await open(letter); await read(); } }, WAITS_MS);
    } catch (error) { show(one, card("", heading, h("p", { class: "note" }, T.failed(error.message)))); }
  }
  async function readRows() {
    try {
      const { items } = await get("/v1/operator/set-aside-rows");
      rowNote.textContent = items.length ? "" : X.noRows;
      show(rowList, items.length ? table(X.rows, [[X.row], [X.kind], [X.since], [X.error], [X.again]], items.map(row => [
        row.id, `${X.tables[row.table] || row.table}: ${row.what}`, h("time", { datetime: row.created_at }, moment(row.created_at)), row.error,
        h("button", { type: "button", "aria-label": X.redriveRow(row.id), onclick: event => redriveRow(row, event.target) }, X.redrive)])) : null);
    } catch (error) { rowNote.textContent = T.failed(error.message); again(readRows); }
  }
  async function redriveRow(row, button) {
    button.disabled = true;
    try { await post(`/v1/operator/set-aside-rows/${encodeURIComponent(row.id)}/redrive`, {}); await readRows(); rowNote.textContent = X.rowSent(row.id); }
    catch (error) { rowNote.textContent = T.failed(error.message); button.disabled = false; }
  }
  read(); readRows();
  return { state() {}, end() { ended = true; clearTimeout(waits); } };
}

/** One word for the list: a redriven fact says what came of it. */
const state = letter => letter.set_aside_by === ROWS ? letter.redriven ? X.ended : X.needsRebuild : !letter.redriven ? X.open : letter.redrive ? X.states[letter.redrive.state] : X.redriven;

/** Who sent the letter back, when, and what came of it. */
function outcome(redrive) {
  if (!redrive) return h("p", { class: "soft" }, X.redriven);
  const by = X.asked(redrive.requested_by, moment(redrive.requested_at));
  if (redrive.state === WAITING) return h("p", { class: "soft", role: "status" }, by, " ", X.waits);
  return h("p", { class: redrive.error ? "bad" : "good", role: "status" }, by, " ", redrive.error ? X.failedAgain(redrive.error) : X.applied(moment(redrive.ended_at)));
}
