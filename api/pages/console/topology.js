// The topology: for each edge its rate, its latency, its lag, and when it will have caught up. A stalled edge differs by colour, frame and word.
import { T } from "./texts.js";
import { h, moment, number, rounded, show } from "./dom.js";

const COMMANDS = "tickets.commands", FACTS = "tickets.facts";
const FLOWS = ["circle.reservations", "circle.payments", "circle.projections", "circle.notifications", "circle.monitoring"];
const STALLED_S = 10, SLOW_S = 2, EXPORTED = "exported";
const DELIVERIES = [["mail", "mailed"], ["webhook", "called"]];
// The stages at whose end the age of records is counted, by edge. Branches that share a transaction share a stage.
const STAGES = {
  "circle.reservations": [["decided", "latency"]], "circle.payments": [["charged", "latency"]], "circle.projections": [["persisted", "latency"]],
  "circle.notifications": [["persisted", "latency"]], "circle.monitoring": [["persisted", "latency"]],
};

/** The nodes from two states of the platform, the earlier one null at first. Each has { key, rate, records or messages, seconds, state }.
 *  A stalled one has the word for it, with its time: that of its last movement, or since when the oldest message waits. */
export function nodes(now, before, latency) {
  const sample = now.monitoring ? now.monitoring.sample : null, earlier = before && before.monitoring ? before.monitoring.sample : null;
  const rate = read => sample && earlier && sample.at > earlier.at ? Math.max(0, (read(sample) - read(earlier)) / (sample.at - earlier.at)) : null;
  const found = [{ key: "http", rate: latency.rate, latency, state: "flowing" },
    { key: "commands", rate: rate(one => one.ends[COMMANDS] || 0), state: "flowing", position: sample ? sample.ends[COMMANDS] : null },
    { key: "facts", rate: rate(one => one.facts), state: "flowing", position: sample ? sample.facts : null }];
  // Offsets count the marks of transactions, too. So the speed of a reader of facts is taken by the share of facts in them.
  const grown = rate(one => one.ends[FACTS] || 0), share = grown ? Math.min(1, rate(one => one.facts) / grown) : 1;
  const flows = FLOWS.map(flow => {
    const topic = flow === "circle.reservations" ? COMMANDS : FACTS;
    const [records, seconds] = sample && sample.lags[flow] || [null, null];
    const done = one => (one.ends[topic] || 0) - (one.lags[flow] ? one.lags[flow][0] : 0);
    const offsets = rate(done), speed = offsets === null ? null : offsets * (topic === FACTS ? share : 1);
    const still = sample && sample.stalled[flow] || 0;
    const state = seconds === null ? "unknown" : records && still >= STALLED_S ? "stalled" : seconds >= SLOW_S ? "slow" : "flowing";
    const ages = (STAGES[flow] || []).map(([stage, label]) => [label, agesBetween(now, before, stage)]).filter(([, found]) => found);
    const catchUp = sample && sample.catch_up && flow in sample.catch_up ? sample.catch_up[flow] : undefined;
    return { key: flow, rate: speed, records, seconds, state, ages, catchUp, word: state === "stalled" ? T.stalledSince(since(still), T.lengthOf(still)) : null };
  });
  return [found[0], found[1], flows[0], found[2], ...flows.slice(1),
    ...DELIVERIES.map(([channel, stage]) => leaving(channel, stage, sample && sample.deliveries && sample.deliveries[channel] || [null, null])),
    ...(sample && sample.outbox ? [leaving("export", EXPORTED, sample.outbox)] : [])];

  /** The time that was so many seconds before monitoring's look. */
  function since(seconds) { return moment(new Date((sample.at - seconds) * 1000).toISOString()); }

  /** The edge from an outbox to the outside. One message that has to wait stalls nothing while others leave. */
  function leaving(key, stage, [messages, seconds]) {
    const age = agesBetween(now, before, stage), counted = one => (one.ages && one.ages[stage] || []).reduce((a, b) => a + b, 0), left = rate(counted);
    const state = seconds === null ? "unknown" : messages && seconds >= STALLED_S && !left ? "stalled" : messages && seconds >= SLOW_S ? "slow" : "flowing";
    return { key, rate: left, messages, seconds, state, ages: age ? [["latency", age]] : [], word: state === "stalled" ? T.waitsSince(since(seconds)) : null };
  }
}

export function topology(parent, list) {
  show(parent, list.map(node => {
    const [name, path] = T.nodes[node.key], rows = [[T.rate, node.rate === null ? "–" : T.perSecond(rounded(node.rate))]];
    if (node.latency) rows.push([T.latency, T.latencyOf(node.latency.half, node.latency.most)]);
    for (const [label, age] of node.ages || []) rows.push([T[label], T.latencyOf(age.half, age.most)]);
    if (node.position !== undefined) rows.push([T.position, node.position === null ? "–" : number(node.position)]);
    if (node.records !== undefined) {
      rows.push([T.lag, node.records === null ? "–" : T.records(number(node.records))]);
      rows.push([T.waits, node.seconds === null ? "–" : T.seconds(rounded(node.seconds))]);
    }
    if (node.messages !== undefined) {
      rows.push([T.waiting, node.messages === null ? "–" : T.messages(number(node.messages))]);
      rows.push([T.waits, node.seconds === null ? "–" : T.seconds(rounded(node.seconds))]);
    }
    if (node.catchUp !== undefined && node.state !== "flowing") rows.push([T.catchUp, node.catchUp === null ? T.grows : T.inSeconds(rounded(node.catchUp))]);
    return h("li", { class: node.state, "data-node": node.key },
      h("b", {}, name), h("span", { class: "path" }, path),
      node.state === "stalled" || node.state === "slow" ? h("p", { class: node.state === "stalled" ? "bad" : "warn" }, node.state === "stalled" ? node.word : T.slow) : null,
      h("dl", {}, rows.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)])));
  }));
}

/** Rate, median and 99th percentile of the requests between two states, from the totals of their histogram. */
export function latencyBetween(now, before) {
  const total = one => Object.values(one.requests.answers).reduce((a, b) => a + b, 0);
  const seconds = before ? (Date.parse(now.at) - Date.parse(before.at)) / 1000 : 0;
  const rate = seconds > 0 ? Math.max(0, total(now) - total(before)) / seconds : null;
  const earlier = new Map((before ? before.requests.buckets : []).map(([bound, n]) => [bound, n]));
  let buckets = now.requests.buckets.map(([bound, n]) => [bound, n - (earlier.get(bound) || 0)]);
  if (!buckets.length || buckets[buckets.length - 1][1] <= 0) buckets = now.requests.buckets;
  const count = buckets.length ? buckets[buckets.length - 1][1] : 0;
  const quantile = q => count ? bounded(buckets.find(([, n]) => n >= q * count)[0], 30) : "–";
  return { rate, half: quantile(.5), most: quantile(.99) };
}

const bounded = (bound, last) => bound === null || bound === undefined ? T.over(T.seconds(last)) : T.upTo(bound < 1 ? T.milliseconds(bound * 1000) : T.seconds(bound));

/** Median and 99th percentile of the ages at a stage's end between two states; null before the first record. */
function agesBetween(now, before, stage) {
  const counts = one => one && one.monitoring && one.monitoring.sample.ages && one.monitoring.sample.ages[stage], own = counts(now);
  if (!own) return null;
  const bounds = now.age_bounds_s, last = bounds[bounds.length - 1], recent = agesGrown(own, counts(before));
  const at = recent.some(n => n > 0) ? recent : own;  // without a new record: of all so far
  return { half: bounded(bounds[quantileOf(at, .5)], last), most: bounded(bounds[quantileOf(at, .99)], last) };
}

/** How many records were counted since an earlier look; zeros when a process began again. */
export function agesGrown(own, earlier) {
  const grown = own.map((n, i) => n - (earlier && earlier[i] || 0));
  return grown.some(n => n < 0) ? own.map(() => 0) : grown;
}

/** The index of the bucket that has a quantile of these counts. */
export function quantileOf(counts, q) {
  const wanted = q * counts.reduce((a, b) => a + b, 0);
  let sum = 0;
  for (let i = 0; i < counts.length; i++) { sum += counts[i]; if (sum >= wanted && sum > 0) return i; }
  return counts.length - 1;
}
