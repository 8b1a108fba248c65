// Elements, numbers and times. No text is ever parsed as HTML.
import { LOCALE, T } from "./texts.js";

const LONG = 40;  // characters: more than an id has, so ids stay on one line
const SVG = "http://www.w3.org/2000/svg";
const PRECISE = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 };

export const $ = id => document.getElementById(id);

/** An element: h("p", { class: "soft" }, "text", child). Listeners are properties that begin with "on". */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined));
  return element;
}

export const number = value => value.toLocaleString(LOCALE);
export const rounded = value => value.toLocaleString(LOCALE, { maximumFractionDigits: value < 10 ? 1 : 0 });
export const clock = text => new Date(text).toLocaleTimeString(LOCALE);
export const moment = text => new Date(text).toLocaleString(LOCALE, { dateStyle: "medium", timeStyle: "medium" });
export const soon = text => new Date(text).toLocaleString(LOCALE, { dateStyle: "medium", timeStyle: "short" });

/** An instant with its milliseconds. */
export const precise = text => new Date(text).toLocaleString(LOCALE, PRECISE);
/** The console's word for a status or a state of the API. */
export const word = name => T.words[name] || name;

/** Replaces an element's children only if the new ones differ, so that focus and selection stay. */
export function show(parent, ...children) {
  const next = children.flat(Infinity).filter(child => child !== null && child !== undefined);
  const same = parent.childNodes.length === next.length && next.every((node, i) => node.isEqualNode && node.isEqualNode(parent.childNodes[i]));
  if (!same) parent.replaceChildren(...next);
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.map(([value, label]) => h("div", {}, h("dt", {}, label), h("dd", {}, String(value)))));
}

/** A table: head is a list of [text, isNumber], rows are lists of texts or nodes. */
export function table(caption, head, rows) {
  const cell = (tag, value, numeric) => h(tag, { class: numeric ? "n" : String(value).length > LONG ? "long" : null, scope: tag === "th" ? "col" : null }, value);
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, h("table", {},
    h("caption", { class: "hidden" }, caption),
    h("thead", {}, h("tr", {}, head.map(([text, numeric]) => cell("th", text, numeric)))),
    h("tbody", {}, rows.map(row => h("tr", {}, row.map((value, i) => cell("td", value, head[i][1])))))));
}

export const card = (size, heading, ...children) => h("section", { class: `card ${size}`, "aria-label": heading }, h("h2", {}, heading), ...children);
