// One event's drop: sell-through, outcomes by reason, money, queue, requests by minute, the seat map filling in.
import { T } from "./texts.js";
import { card, facts, h, number, s, show, soon, table, word } from "./dom.js";
import { chart } from "./chart.js";
import { get, listen } from "./net.js";
import { seatLegend, seatMap } from "./seats.js";

const SALES_EVERY_MS = 2000;

/** Shows an event below `parent`. `path` is the address of its sales. Returns a function that ends it. */
export function drop(parent, eventId, path) {
  const bars = h("div"), outcomes = h("div"), money = h("div"), queue = h("div"), minutes = h("div"), seats = h("div"), note = h("div");
  const heading = h("h2", {}, "…"), about = h("p", { class: "soft" });
  let sales = null, timer = 0, ended = false;
  show(parent, h("section", { class: "card", "aria-label": T.sellThrough }, heading, about, note, bars), card("half", T.outcomes, outcomes), card("half", T.money, money),
    card("half", T.queue, queue), card("half", T.requests, minutes), card("", T.seatMap, seatLegend(), seats));
  async function read() {
    if (ended) return;
    try {
      if (!document.hidden) { sales = await get(path); all(); show(note, sales.source === "redis" ? null : h("p", { class: "note" }, T.fromPostgres)); }
    } catch (error) { show(note, h("p", { class: "note" }, T.failed(error.message))); if (error.status === 401 || error.status === 403 || error.status === 404) ended = true; }
    if (!ended) timer = setTimeout(read, SALES_EVERY_MS);
  }
  function all() {
    heading.textContent = sales.title; about.textContent = T.eventLine(word(sales.status), soon(sales.starts_at));
    show(bars, sales.ticket_types.map(bar));
    show(outcomes, sales.outcomes.length ? table(T.outcomes, [[T.outcome], [T.reason], [T.reservationsColumn, true], [T.placesColumn, true]],
      [...sales.outcomes].sort((a, b) => b.reservations - a.reservations).map(one => [word(one.status), one.reason, number(one.reservations), number(one.places)])) : h("p", { class: "soft" }, T.noOutcomes));
    show(money, sales.money.length ? table(T.money, [[T.taken, true], [T.givenBack, true], [T.heldMoney, true]],
      sales.money.map(one => [one.taken_text, one.given_back_text, one.held_text])) : h("p", { class: "soft" }, T.noMoney));
    show(queue, facts([[number(sales.waiting), T.waitingList], ...(sales.commands_waiting === null ? [] : [[number(sales.commands_waiting), T.commandsWaiting]])]));
    const now = Date.now() / 1000, points = key => sales.minutes.map(one => [Date.parse(one.at) / 1000, one[key]]);
    show(minutes, chart(T.minutes, ["asked", "confirmed", "rejected"].map(key => ({ name: T[key], points: points(key) })), now - 3600, now, 600, number));
  }
  const endSeats = seatMap(seats, eventId);
  // Availability comes by its own stream, four times a second at most, so bars move between two readings of the sales.
  const endBars = listen(`/v1/events/${eventId}/stream`, (name, data) => {
    if (name !== "availability" || !sales) return;
    const places = new Map(data.items.map(one => [one.id, one]));
    sales.ticket_types = sales.ticket_types.map(one => ({ ...one, ...(places.get(one.id) || {}) }));
    show(bars, sales.ticket_types.map(bar));
  });
  read();
  return () => { ended = true; clearTimeout(timer); endSeats(); endBars(); };
}

function bar(type) {
  const locked = Math.max(0, type.total - type.available - type.held - type.sold - type.blocked);
  const parts = [["sold", type.sold, T.soldLine], ["held", type.held, T.heldLine], ["locked", locked, T.locked], ["blocked", type.blocked, T.blocked]];
  let x = 0;
  const drawn = parts.map(([name, n]) => { const wide = type.total ? n / type.total * 1000 : 0, rect = s("rect", { class: `f-${name}`, x, y: 0, width: wide, height: 16 }); x += wide; return rect; });
  return h("div", { "data-type": type.id },
    h("h3", {}, `${type.name}, ${type.price_text}, ${T.places(number(type.total))}`),
    s("svg", { class: "bar", viewBox: "0 0 1000 16", preserveAspectRatio: "none", role: "img", "aria-label": T.barText(type.sold, type.held, type.available, type.total) }, drawn),
    h("p", { class: "legend" }, parts.filter(([name, n]) => n || name === "sold" || name === "held").map(([name, n, text]) => h("span", {}, h("i", { class: name }), `${number(n)} ${text}`)),
      h("span", {}, h("i", { class: "free" }), `${number(type.available)} ${T.available}`),
      h("span", {}, type.total ? T.percentSold(Math.round(type.sold / type.total * 1000) / 10) : "")));
}
