// The seat map: drawn once, then only the seats that change. 50,000 seats are a canvas of one drawing each.
import { T } from "./texts.js";
import { h } from "./dom.js";
import { listen } from "./net.js";

const COLOURS = { ".": "--free", h: "--held", s: "--sold", x: "--locked", b: "--blocked" };

/** Watches an event's seats below `parent`. Returns a function that ends it. */
export function seatMap(parent, eventId, query = "") {
  let sections = new Map();
  const colour = letter => getComputedStyle(document.documentElement).getPropertyValue(COLOURS[letter]).trim();
  function whole(list) {
    sections = new Map(list.map(section => [section.ticket_type_id, build(section)]));
    parent.replaceChildren(...(list.length ? [...sections.values()].map(one => one.box) : [h("p", { class: "soft" }, T.noSeatMap)]));
    for (const one of sections.values()) one.paint(0, one.letters.length);
  }
  function build(section) {
    const wide = section.seats_per_row, cell = Math.max(2, Math.min(16, Math.floor(720 / wide))), gap = cell > 6 ? 2 : cell > 3 ? 1 : 0;
    const scale = Math.min(2, devicePixelRatio || 1), letters = [...section.letters];
    const canvas = h("canvas", { width: wide * cell * scale, height: section.rows * cell * scale, role: "img" });
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const box = h("div", {}, h("h3", {}, T.seatMapOf(section.name)), h("div", { class: "map", tabindex: "0", role: "group", "aria-label": section.name }, canvas));
    const one = { box, letters, paint(from, count) {
      const styles = Object.fromEntries(Object.keys(COLOURS).map(letter => [letter, colour(letter)]));
      for (let i = from; i < from + count; i++) {
        const x = i % wide * cell, y = Math.floor(i / wide) * cell;
        pen.clearRect(x, y, cell, cell);
        pen.fillStyle = styles[letters[i]];
        pen.fillRect(x, y, cell - gap, cell - gap);
      }
      const has = letter => letters.reduce((n, own) => n + (own === letter), 0);
      canvas.dataset.sold = has("s"); canvas.dataset.held = has("h");
      canvas.setAttribute("aria-label", T.seatText(section.name, has("s"), has("h"), letters.length));
    } };
    return one;
  }
  function changes(found) {
    for (const [id, list] of Object.entries(found)) {
      const one = sections.get(id);
      if (!one) continue;
      for (const [index, letters] of list) {
        [...letters].forEach((letter, i) => { one.letters[index + i] = letter; });
        one.paint(index, letters.length);
      }
    }
  }
  const dark = matchMedia("(prefers-color-scheme: dark)"), again = () => { for (const one of sections.values()) one.paint(0, one.letters.length); };
  dark.addEventListener("change", again);
  const end = listen(`/v1/events/${eventId}/seats/stream${query}`, (name, data) => { if (name === "map") whole(data.sections); else changes(data.sections); });
  return () => { end(); dark.removeEventListener("change", again); };
}

export function seatLegend() {
  const names = [["sold", T.soldLine], ["held", T.heldLine], ["locked", T.locked], ["blocked", T.blocked], ["free", T.free]];
  return h("p", { class: "legend" }, names.map(([name, text]) => h("span", {}, h("i", { class: name }), text)));
}
