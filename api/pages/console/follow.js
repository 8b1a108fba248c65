// Follow one request: each step from HTTP to the mail, with its time.
import { T } from "./texts.js";
import { card, h, moment, show } from "./dom.js";
import { get } from "./net.js";

const X = T.follow;

export function follow(main, chosen) {
  const input = h("input", { id: "request", autocomplete: "off", placeholder: X.hint, size: "44" }), view = h("div"), note = h("p", { class: "soft", role: "status" }, X.nothing);
  const form = h("form", { class: "filter" }, h("label", {}, X.input, input), h("button", { class: "main" }, X.go));
  show(main, card("", X.heading, form, note, view));
  form.addEventListener("submit", event => { event.preventDefault(); const text = input.value.trim(); if (text) location.hash = `#/follow/${encodeURIComponent(text)}`; });
  async function open(request) {
    if (!request) return;
    input.value = request; note.textContent = T.loading; show(view);
    try {
      const found = await get(`/v1/operator/journey?${new URLSearchParams({ request })}`);
      note.textContent = found.status ? `${X.status}: ${found.status}` : "";
      show(view, h("ol", { class: "steps" }, found.steps.map(step => h("li", {},
        h("span", { class: "stage" }, `${step.stage} `), h("b", {}, step.what), step.outcome ? h("span", {}, ` ${step.outcome}`) : null,
        h("div", { class: "soft" }, [step.time ? moment(step.time) : "", step.time ? milliseconds(step.time) : "", step.position, step.detail, step.trace ? `${T.slow.trace} ${step.trace}` : ""].filter(Boolean).join(" · "))))),
      found.waits_for.length ? [h("h3", {}, X.waits), h("ul", {}, found.waits_for.map(text => h("li", {}, text)))] : null,
      found.traces.length ? h("p", { class: "soft" }, `${X.traces}: ${found.traces.join(", ")}`) : null,
      found.stopped ? h("p", { class: "note" }, X.stopped(found.stopped)) : null);
    } catch (error) { note.textContent = T.failed(error.message); }
  }
  open(chosen);
  return { state() {}, open, end() {} };
}

const milliseconds = text => `${String(new Date(text).getMilliseconds()).padStart(3, "0")} ms`;
