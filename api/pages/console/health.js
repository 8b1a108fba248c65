// Health and alerts: always on top of the console.
import { PAGES, T } from "./texts.js";
import { h, clock, show } from "./dom.js";
import { runbookLink, whatIsWrong } from "./alerts.js";

export function health(parent, platform) {
  const services = Object.entries(platform.services).map(([name, check]) =>
    h("li", {}, h("span", { class: check.ok ? "mark" : "mark bad" }), check.ok ? T.ready(T.services[name] || name) : T.notReady(T.services[name] || name, check.detail)));
  const dying = Object.entries(platform.dying).map(([flow, one]) =>
    h("li", {}, h("span", { class: "mark bad" }), T.dying(flow, one.deaths)));
  show(parent, h("h2", { class: "hidden" }, PAGES.health), h("ul", { class: "chips" }, services, dying), alerts(platform.alerts));
}

function alerts(firing) {
  if (firing === null) return h("p", { class: "note" }, T.alertsUnknown);
  const history = h("a", { href: "#/alerts" }, T.alertHistory);
  if (!firing.length) return h("p", { class: "soft" }, T.noAlerts, " ", history);
  return [h("ul", { class: "alerts" }, firing.map(one => h("li", { class: one.severity },
    h("b", {}, one.alert + (one.about ? `: ${one.about}` : "")), ` ${whatIsWrong(one)} `,
    h("span", { class: "soft" }, T.alertSince(clock(one.fired_at)), " "), runbookLink(one)))), h("p", { class: "soft" }, history)];
}
