// Requests and live streams. A stream that breaks begins again, with pauses that grow to ten seconds.
import { T } from "./texts.js";

const PAUSE_MS = 500, PAUSE_MS_MAX = 10000;
let token = "";

/** Send this access token with every request, or none. Without one the browser sends the operator's password. */
export function use(accessToken) { token = accessToken; }

// With a token the browser keeps its own credentials to itself, and asks for none when the token is refused.
const credentials = () => token ? "omit" : "same-origin";

let refused = () => {};
/** Call this when the platform refuses the token that `use` was given. */
export function whenRefused(listener) { refused = listener; }

export class Refused extends Error {
  constructor(status, problem) { super((problem && (problem.detail || problem.title)) || T.answerStatus(status)); this.status = status; this.problem = problem || {}; }
}

const address = path => location.origin + path;
const headers = accept => ({ accept, ...(token ? { authorization: `Bearer ${token}` } : {}) });

async function answerOf(answer) {
  if (answer.ok) return answer;
  if (answer.status === 401 && token) refused();
  let problem = null;
  try { problem = await answer.json(); } catch { problem = null; }
  throw new Refused(answer.status, problem);
}

export async function get(path) {
  return (await answerOf(await fetch(address(path), { headers: headers("application/json"), credentials: credentials() }))).json();
}

/** A file of the console as text. */
export async function text(path) {
  return (await answerOf(await fetch(address(path), { headers: headers("text/plain, */*"), credentials: credentials() }))).text();
}

export async function post(path, body, more = {}) {
  const options = { method: "POST", headers: { ...headers("application/json"), "content-type": "application/json", ...more }, credentials: credentials(), body: JSON.stringify(body) };
  const answer = await answerOf(await fetch(address(path), options));
  return answer.status === 204 ? null : answer.json();
}

/**
 * A stream of server-sent events. `hear(name, data)` gets each message, `state("live" | "away" | "refused")` each change.
 * Returns a function that ends it. A tab that is not seen closes its streams, and opens them when it is seen again.
 */
export function listen(path, hear, state = () => {}) {
  let ended = false, abort = null, pause = PAUSE_MS, timer = 0;
  async function run() {
    if (ended || document.hidden) return;
    abort = new AbortController();
    try {
      const answer = await answerOf(await fetch(address(path), { headers: headers("text/event-stream"), signal: abort.signal, cache: "no-store", credentials: credentials() }));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let buffer = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        pause = PAUSE_MS; state("live");
        buffer += value;
        const parts = buffer.split("\n\n");
        buffer = parts.pop();
        for (const part of parts) message(part);
      }
    } catch (error) {
      if (ended || document.hidden) return;
      if (error instanceof Refused && (error.status === 401 || error.status === 403)) { state("refused"); ended = true; return; }
      if (error instanceof Refused && error.status === 404) { state("away"); ended = true; return; }
    }
    if (ended || document.hidden) return;
    state("away");
    timer = setTimeout(run, pause);
    pause = Math.min(PAUSE_MS_MAX, pause * 2);
  }
  function message(text) {
    let name = "message", data = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("event:")) name = line.slice(6).trim();
      else if (line.startsWith("data:")) data += line.slice(5).trim();
    }
    if (data) hear(name, JSON.parse(data));
  }
  const seen = () => { clearTimeout(timer); if (abort) abort.abort(); if (!document.hidden) run(); };
  document.addEventListener("visibilitychange", seen);
  run();
  return () => { ended = true; clearTimeout(timer); document.removeEventListener("visibilitychange", seen); if (abort) abort.abort(); };
}
