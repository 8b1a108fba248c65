// The overview: topology, totals, the verifier, and the figures of the last hour or day.
import { T } from "./texts.js";
import { card, clock, facts, h, moment, number, rounded, show, table } from "./dom.js";
import { chart, rates } from "./chart.js";
import { get } from "./net.js";
import { agesGrown, latencyBetween, nodes, quantileOf, topology } from "./topology.js";

const RATE_OVER_MS = 8000;  // monitoring reports every five seconds
const RANGES = ["hour", "day"];
const STAGES = ["decided", "persisted", "mailed"];
let samples = [], range = "hour", step = 5, states = [], bounds = [];

export function overview(main) {
  const edges = h("ol", { class: "topology" }), away = h("p", { class: "note", hidden: true }, T.monitoringAway);
  const totals = h("div"), requests = h("div"), verifier = h("div"), charts = h("div");
  const select = h("select", { id: "range" }, RANGES.map(one => h("option", { value: one, selected: one === range }, T[one])));
  select.addEventListener("change", () => { range = select.value; samples = []; figures(charts); });
  show(main,
    card("", T.topology, h("p", { class: "soft" }, T.topologyNote), away, edges),
    card("wide", T.history, h("label", {}, T.range, select), charts),
    h("div", { class: "side card" }, h("h2", {}, T.totals), totals, h("h2", { class: "spaced" }, T.requests), requests, h("h2", { class: "spaced" }, T.verifier), verifier));
  figures(charts);
  const timer = setInterval(() => { if (!document.hidden) figures(charts); }, 5000);
  return {
    state(platform) {
      states.push(platform);
      bounds = platform.age_bounds_s;
      while (states.length > 2 && Date.parse(platform.at) - Date.parse(states[1].at) > RATE_OVER_MS) states.shift();
      const before = states.length > 1 ? states[0] : null;
      topology(edges, nodes(platform, before, latencyBetween(platform, before)));
      away.hidden = platform.monitoring !== null;
      totalsOf(totals, platform); requestsOf(requests, platform, before); verifierOf(verifier, platform.verify);
    },
    end() { clearInterval(timer); },
  };
}

function totalsOf(parent, { monitoring }) {
  const sample = monitoring && monitoring.sample;
  show(parent, sample ? facts([[number(sample.facts), T.facts], [number(sample.places.sold || 0), T.sold], [number(sample.places.held || 0), T.held],
    [number(sample.refused), T.refusedFacts], [number(sample.dead_letters), T.deadLetters]]) : h("p", { class: "soft" }, T.unknown),
  sample && Object.keys(monitoring.refused).length ? h("p", { class: "soft" }, T.refusedBy(Object.entries(monitoring.refused).map(([reason, n]) => `${reason} ${number(n)}`).join(", "))) : null);
}

function requestsOf(parent, platform, before) {
  const { requests } = platform, latency = latencyBetween(platform, before);
  show(parent, facts([[number(Object.values(requests.answers).reduce((a, b) => a + b, 0)), T.answered], [latency.rate === null ? "–" : rounded(latency.rate), T.answersNow],
    [number(requests.reservations), T.reservations], [number(requests.answers["5"] || 0), T.errors], [number(requests.waiting), T.waitingRequests], [number(requests.streams), T.streams]]));
}

function verifierOf(parent, verify) {
  if (!verify) { show(parent, h("p", { class: "soft" }, T.verifierAway)); return; }
  const waiting = verify.partitions.reduce((n, one) => n + one.waiting, 0);
  show(parent, h("p", { class: verify.divergences ? "bad" : "good" }, T.verified(number(verify.facts), number(verify.divergences), number(waiting))),
    table(T.verifier, [[T.verifierPartition, true], [T.verifierThrough, true], [T.verifierWaiting, true], [T.verifierDivergences, true]],
      verify.partitions.map(one => [one.partition, one.through, one.waiting, one.divergences].map(number))));
}

async function figures(parent) {
  const asked = range, after = samples.length ? Math.floor(samples[samples.length - 1].at / step) * step : 0;
  let answer;
  try { answer = await get(`/v1/operator/figures?range=${asked}&after=${after}`); }
  catch (error) { if (!samples.length) show(parent, h("p", { class: "note" }, T.failed(error.message))); return; }
  if (asked !== range) return;
  step = answer.step_s;
  const since = Date.now() / 1000 - (range === "hour" ? 3600 : 86400);
  const known = new Set(samples.map(one => one.at));
  samples = [...samples, ...answer.samples.filter(one => !known.has(one.at))].filter(one => one.at >= since);
  if (samples.length < 2) { show(parent, h("p", { class: "soft" }, T.noFigures)); return; }
  const draw = (heading, lines, unit) => chart(heading, lines, since, since + (range === "hour" ? 3600 : 86400), step * 4, unit);
  const flows = Object.keys(samples[samples.length - 1].lags).slice(0, 5);
  parent.dataset.since = samples[0].at;
  show(parent, h("p", { class: "soft" }, T.reach[range](range === "hour" ? clock(samples[0].at * 1000) : moment(samples[0].at * 1000))),
    draw(T.charts.facts, [{ name: T.factsLine, points: rates(samples, one => one.facts) }, { name: T.commandsLine, points: rates(samples, one => one.ends["tickets.commands"]) }]),
    draw(T.charts.lag, flows.map(flow => ({ name: T.nodes[flow] ? T.nodes[flow][0] : flow, points: samples.filter(one => one.lags[flow]).map(one => [one.at, one.lags[flow][1]]) }))),
    draw(T.charts.latency, STAGES.map(stage => ({ name: T.stages[stage], points: latencies(stage) })), seconds => T.seconds(seconds < 10 ? Math.round(seconds * 1000) / 1000 : Math.round(seconds))),
    draw(T.charts.places, [{ name: T.soldLine, points: rates(samples, one => one.places.sold || 0) }, { name: T.heldLine, points: rates(samples, one => one.places.held || 0) }]),
    draw(T.charts.refused, [{ name: T.refusedLine, points: rates(samples, one => one.refused) }]));
}

/** The age that 99 of 100 records had at most at the end of a stage, between two samples. */
function latencies(stage) {
  const points = [];
  for (let i = 1; i < samples.length; i++) {
    const own = samples[i].ages && samples[i].ages[stage], earlier = samples[i - 1].ages && samples[i - 1].ages[stage];
    if (!own || !earlier) continue;
    const grown = agesGrown(own, earlier);
    if (grown.some(n => n > 0)) points.push([samples[i].at, bounds[quantileOf(grown, .99)] || bounds[bounds.length - 1]]);
  }
  return points.filter(([, seconds]) => seconds !== undefined);
}
