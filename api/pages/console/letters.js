// Dead letters: list, content, and the way back, mended where asked.
import { T } from "./texts.js";
import { card, h, moment, show, table } from "./dom.js";
import { get, post } from "./net.js";
import { pre } from "./topics.js";

const X = T.letters;

export function letters(main) {
  const list = h("div"), one = h("div"), note = h("p", { class: "soft", role: "status" }, T.loading);
  show(main, card("", X.heading, note, list), one);
  async function read() {
    try {
      const { items } = await get("/v1/operator/dead-letters");
      note.textContent = items.length ? "" : X.nothing;
      show(list, items.length ? table(X.heading, [[X.topic], [X.record], [X.since], [X.state], [X.error]], items.map(letter => [
        h("button", { class: "link", type: "button", onclick: () => open(letter) }, `${letter.origin_topic} ${letter.origin_partition}-${letter.origin_offset}`),
        letter.record || "?", h("time", { datetime: letter.put_aside_at }, moment(letter.put_aside_at)), letter.redriven ? X.redriven : X.open, letter.error])) : null);
    } catch (error) { note.textContent = T.failed(error.message); }
  }
  async function open(letter) {
    const path = `/v1/operator/dead-letters/${letter.topic.replace(/\.dead-letters$/, "")}/${letter.offset}`;
    const heading = `${letter.origin_topic} ${letter.origin_partition}-${letter.origin_offset}`;
    try {
      const found = await get(path), result = h("p", { class: "soft", role: "status" }, X.sure);
      const text = h("textarea", { id: "mended", spellcheck: "false" });
      text.value = JSON.stringify({ type: found.letter.record || found.partly, ...found.fields }, null, 2);
      const send = async body => {
        try { const answer = await post(`${path}/redrive`, body); result.textContent = answer.changed.length ? X.changed(answer.changed.join(", ")) : X.sent; await read(); }
        catch (error) { result.textContent = T.failed(error.message); }
      };
      const mended = () => { try { send({ edited: JSON.parse(text.value) }); } catch (error) { result.textContent = T.failed(error.message); } };
      const fact = letter.origin_topic === "tickets.facts";
      show(one, card("", heading, h("p", {}, letter.error), found.undecodable ? h("p", { class: "note" }, T.topics.undecodable(found.undecodable), " ", found.value_hex) : null,
        h("h3", {}, T.topics.fields), pre(found.fields), h("h3", {}, T.topics.headers), pre(found.headers),
        found.letter.redriven ? h("p", { class: "soft" }, X.redriven) : fact ? h("p", { class: "note" }, X.facts) : [
          h("h3", {}, X.mend), h("p", { class: "soft" }, X.mendNote), h("label", {}, X.whole, text), result,
          h("p", { class: "chips" }, found.undecodable ? null : h("button", { type: "button", onclick: () => send({}) }, X.redrive), h("button", { type: "button", class: "main", onclick: mended }, X.mend))]));
      one.scrollIntoView({ block: "nearest" });
    } catch (error) { show(one, card("", heading, h("p", { class: "note" }, T.failed(error.message)))); }
  }
  read();
  return { state() {}, end() {} };
}
