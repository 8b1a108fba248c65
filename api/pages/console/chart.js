// Small line charts as SVG: no library, no canvas, one path for each line. Gaps in the samples are gaps in the lines.
import { T } from "./texts.js";
import { h, s, rounded } from "./dom.js";

const WIDTH = 600, HEIGHT = 120, TOP = 6;

/**
 * A chart. `lines` are [{ name, points: [[second, value], …] }], `from` and `until` seconds, `gap` the seconds after
 * which a line breaks. Its text for screen readers has the last and the largest value of each line.
 */
export function chart(heading, lines, from, until, gap, unit = rounded) {
  const top = Math.max(1e-9, ...lines.flatMap(line => line.points.map(point => point[1])));
  const x = at => (at - from) / (until - from) * WIDTH, y = value => HEIGHT - 1 - value / top * (HEIGHT - TOP - 1);
  const described = lines.map(line => T.chartText(line.name, unit(last(line.points)), unit(most(line.points)))).join("; ");
  const drawing = s("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${heading}. ${described}` },
    s("path", { class: "axis", d: `M0 ${HEIGHT - 1}H${WIDTH}M0 ${TOP}H${WIDTH}` }),
    lines.map((line, i) => s("path", { class: `c${i + 1}`, d: path(line.points, x, y, gap) })));
  return h("figure", { class: "figure" },
    h("div", { class: "figure-head" }, h("h3", {}, heading), h("span", { class: "soft" }, T.atMost(unit(lines.some(line => line.points.length) ? top : 0)))),
    drawing,
    h("figcaption", { class: "legend" }, lines.map((line, i) => h("span", {}, h("i", { class: `k${i + 1}` }), `${line.name} ${unit(last(line.points))}`))));
}

const last = points => points.length ? points[points.length - 1][1] : 0;
const most = points => Math.max(0, ...points.map(point => point[1]));

function path(points, x, y, gap) {
  let text = "", before = -Infinity;
  for (const [at, value] of points) {
    text += `${at - before > gap ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    before = at;
  }
  return text;
}

/** The growth per second between two samples of a total. A total that fell began again: there is no rate for it. */
export function rates(samples, value) {
  const points = [];
  for (let i = 1; i < samples.length; i++) {
    const seconds = samples[i].at - samples[i - 1].at, grown = value(samples[i]) - value(samples[i - 1]);
    if (seconds > 0 && grown >= 0) points.push([samples[i].at, grown / seconds]);
  }
  return points;
}
