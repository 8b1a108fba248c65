// Follow one request: each step from HTTP to the mail, with its time. A request without an end yet is read again.
import { T } from "./texts.js";
import { card, h, number, precise, rounded, show, word } from "./dom.js";
import { get } from "./net.js";

const X = T.follow, EVERY_MS = 3000;

export function follow(main, chosen) {
  const field = (id, label, more) => { const input = h("input", { id, autocomplete: "off", ...more }); return [input, h("label", {}, label, input)]; };
  const [request, requestLabel] = field("request", X.input, { placeholder: X.hint, size: "44" });
  const [key, keyLabel] = field("key", X.key, {}), [user, userLabel] = field("user", X.user, { size: "36" });
  const view = h("div"), note = h("p", { class: "soft", role: "status" }, X.nothing);
  const go = (fields, ask) => {
    const form = h("form", { class: "filter" }, fields, h("button", { class: "main" }, X.go));
    form.addEventListener("submit", event => { event.preventDefault(); ask(); });
    return form;
  };
  show(main, card("", X.heading,
    go(requestLabel, () => { const text = request.value.trim(); if (text) to(text); }),
    go([keyLabel, userLabel], () => { if (key.value.trim() && user.value.trim()) to(`key:${user.value.trim()}:${key.value.trim()}`); }),
    note, view));
  let timer = 0, asked = "";
  const to = text => { const next = `#/follow/${encodeURIComponent(text)}`; if (location.hash === next) open(text); else location.hash = next; };

  function query(text) {
    const byKey = /^key:([^:]*):(.*)$/s.exec(text);
    return byKey ? { user: byKey[1], key: byKey[2] } : { request: text };
  }
  async function open(text) {
    clearTimeout(timer);
    asked = text;
    if (!text) return;
    const named = query(text);
    request.value = named.request || ""; key.value = named.key || ""; user.value = named.user || "";
    note.textContent = T.loading; show(view);
    await read(text, named);
  }
  async function read(text, named) {
    let waits = true;
    try {
      const found = await get(`/v1/operator/journey?${new URLSearchParams(named)}`);
      if (asked !== text) return;
      note.textContent = found.status ? `${X.status}: ${word(found.status)}` : "";
      waits = found.waits_for.length > 0;
      draw(found);
    } catch (error) {
      if (asked !== text) return;
      note.textContent = T.failed(error.message);
      waits = error.status === 503;
    }
    if (waits) timer = setTimeout(() => read(text, named), EVERY_MS);
  }
  function draw(found) {
    show(view, h("ol", { class: "steps" }, found.steps.map((step, i) => h("li", {},
      h("span", { class: "stage" }, `${X.stages[step.stage] || step.stage} `), h("b", {}, step.what), step.outcome ? h("span", {}, ` ${step.outcome}`) : null,
      h("div", { class: "soft" }, [step.time ? precise(step.time) : "", after(found.steps, i), step.position ? X.position(step.position) : "", step.detail, step.trace ? `${T.slow.trace} ${step.trace}` : ""].filter(Boolean).join(" · "))))),
    found.waits_for.length ? [h("h3", {}, X.waits), h("ul", {}, found.waits_for.map(text => h("li", {}, text)))] : null,
    found.traces.length ? h("p", { class: "soft" }, `${X.traces}: ${found.traces.join(", ")}`) : null,
    found.stopped ? h("p", { class: "note" }, X.stopped(found.stopped)) : null);
  }
  open(chosen);
  return { state() {}, open, end() { clearTimeout(timer); asked = ""; } };
}

/** The time since the request's first step. */
function after(steps, i) {
  const first = steps.find(step => step.time);
  if (!first || !steps[i].time || steps[i] === first) return "";
  const ms = Math.max(0, Date.parse(steps[i].time) - Date.parse(first.time));
  return X.after(ms < 10000 ? T.milliseconds(number(ms)) : T.seconds(rounded(ms / 1000)));
}
