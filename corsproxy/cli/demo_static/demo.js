// Makes the calls one after another, on both ways, and writes down what the browser let the script see.
//
// For a browser test: body[data-state] is loading, running, done or broken; body[data-mismatches] counts what was not as expected;
// a row is tr[data-call], once it has run with data-as-expected; its cells carry data-direct or data-proxied (readable, blocked, failed)
// beside data-expected, and the last one data-reached-direct and data-reached-proxied ("OPTIONS 405", "POST 200, GET 200", "nothing").

import { expectation, groupsAt, sourceOf } from "./calls.js";

const ANSWER_MS = 20_000;
const SPREAD_MS = 1200; // five events, half a second between them
const EXCERPT = 150;
const BEYOND = 999_999_999_999_999; // no log entry has such a number
const WAYS = { direct: "Straight to the legacy API", proxied: "Through corsproxy" };
const WORDS = { readable: "Readable", blocked: "Blocked", failed: "Failed", waiting: "Waiting", running: "Running" };

const page = { places: null, groups: [], isAllowed: false, rows: new Map(), isRunning: false };

class Failure extends Error {}

// Making a call.

async function callOn(way, call, show) {
  const { api_url: api, proxy_url: proxy, far_url: far } = page.places;
  const base = way === "direct" ? api : call.isFar ? far : proxy;
  try {
    await fetch(`${base}/`, { method: "HEAD", mode: "no-cors" });
  } catch {
    const advice = base.startsWith("https:") ? " Open that address once and let its certificate pass." : "";
    return { verdict: "failed", because: `Nothing answers at ${base}.${advice}` };
  }
  const since = await lastSeq();
  const result = await judge(call, base, show);
  return { ...result, entries: await reachedSince(since) };
}

async function judge(call, base, show) {
  let answer;
  try {
    answer = await within(ANSWER_MS, opened(call.run(base)));
  } catch (error) {
    if (error instanceof Failure) return { verdict: "failed", because: error.message };
    return { verdict: "blocked", said: `${error.name}: ${error.message}` };
  }
  try {
    const seen = await within(ANSWER_MS, answer instanceof EventSource ? readEvents(call, answer, show) : readResponse(call, answer));
    const problem = call.check?.(seen) ?? "";
    return { verdict: problem ? "failed" : "readable", said: statusOf(answer), seen: call.shows?.(seen) ?? seen, because: problem };
  } catch (error) {
    return { verdict: "failed", said: statusOf(answer), because: error.message };
  } finally {
    answer.close?.();
  }
}

async function opened(made) {
  const answer = await made;
  if (!(answer instanceof EventSource)) return answer;
  return new Promise((resolve, reject) => {
    answer.onopen = () => resolve(answer);
    answer.onerror = () => {
      answer.close();
      reject({ name: "EventSource", message: "error event before the first byte" });
    };
  });
}

async function readResponse(call, response) {
  if (call.read) return call.read(response);
  return (await response.text()) || "(no body)";
}

function readEvents(call, source, show) {
  const begun = performance.now();
  const arrivals = [];
  const lines = [];
  call.read(source, (text) => {
    arrivals.push(performance.now() - begun);
    lines.push(`+${(arrivals.at(-1) / 1000).toFixed(1)} s  ${text}`);
    show(lines.join("\n"));
  });
  return new Promise((resolve, reject) => {
    source.onerror = () => reject(new Failure("The stream broke off."));
    source.addEventListener("end", () => {
      if (arrivals.at(-1) - arrivals[0] > SPREAD_MS) resolve(lines.join("\n"));
      else reject(new Failure("The events arrived together: something on the way holds them back."));
    });
  });
}

function within(limit, promise) {
  const late = new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Failure(`No answer in ${limit / 1000} s.`)), limit);
  });
  return Promise.race([promise, late]);
}

function statusOf(answer) {
  if (answer instanceof EventSource) return "Open event stream";
  return `${answer.status} ${answer.statusText}`.trim();
}

// What reached the API.

async function apiLog(since) {
  const response = await fetch(`/api-log?since=${since}`);
  return response.json();
}

async function lastSeq() {
  return (await apiLog(BEYOND)).last_seq;
}

async function reachedSince(seq) {
  const { entries } = await apiLog(seq);
  return entries.filter((entry) => entry.origin === null || entry.origin === location.origin);
}

function reachedText(entries) {
  return entries.map((entry) => `${entry.method} ${entry.status ?? "without an answer"}`).join(", ") || "nothing";
}

// Running.

async function runCalls(calls) {
  if (page.isRunning) return;
  setRunning(true, calls.length);
  try {
    for (const [done, call] of calls.entries()) {
      progress(done, calls.length);
      await runCall(call);
    }
    progress(calls.length, calls.length);
    setRunning(false);
    summarise();
  } catch (error) {
    setRunning(false);
    broken(`The demo’s own server does not answer (${error.message}). Is corsproxy demo still running?`);
  }
}

async function runCall(call) {
  const row = page.rows.get(call.id);
  for (const way of Object.keys(WAYS)) reset(row, way);
  for (const way of Object.keys(WAYS)) {
    drawVerdict(row, way, { verdict: "running" });
    const show = (text) => drawVerdict(row, way, { verdict: "running", seen: text });
    const result = await callOn(way, call, show);
    record(row, way, call, result);
  }
}

function record(row, way, call, result) {
  const expected = expectation(call, way, page.isAllowed);
  const reached = result.entries ? reachedText(result.entries) : "unknown";
  const because = result.verdict === "blocked" ? (expected.because ?? "Look at the console: it names the reason.") : result.because;
  row.verdicts[way].dataset[way] = result.verdict;
  row.reached.dataset[`reached${capital(way)}`] = reached;
  row.surprises[way] = result.verdict !== expected.verdict || reached !== expected.reached;
  row.element.dataset.asExpected = String(!row.surprises.direct && !row.surprises.proxied);
  drawVerdict(row, way, { ...result, because, wanted: expected.verdict });
  drawReached(row, way, result.entries ?? [], reached, expected.reached, call);
}

function setRunning(isRunning, count) {
  page.isRunning = isRunning;
  document.body.dataset.state = isRunning ? "running" : "done";
  for (const button of document.querySelectorAll("button")) button.setAttribute("aria-disabled", String(isRunning));
  if (isRunning) say(count === 1 ? "Running one call…" : `Running ${count} calls…`);
}

function summarise() {
  const rows = [...page.rows.values()];
  const count = (way, verdict) => rows.filter((row) => row.verdicts[way].dataset[way] === verdict).length;
  const wrong = rows.filter((row) => row.surprises.direct || row.surprises.proxied).length;
  document.body.dataset.mismatches = String(wrong);
  const verdict = wrong ? `${wrong} of ${rows.length} calls did not go as expected.` : `All ${rows.length} calls went as expected.`;
  say(`${verdict} Readable straight: ${count("direct", "readable")}. Readable through corsproxy: ${count("proxied", "readable")}.`);
}

// Drawing.

function make(tag, properties = {}, ...children) {
  const { dataset, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name === "running" ? "waiting" : name}`);
  svg.append(use);
  return svg;
}

function drawTable() {
  const table = document.getElementById("calls");
  for (const group of page.groups) {
    const title = make("th", { scope: "rowgroup", colSpan: 4, textContent: group.title, role: "rowheader" });
    table.append(make("tbody", { role: "rowgroup" }, make("tr", { className: "group", role: "row" }, title), ...group.calls.map(drawRow)));
  }
}

function drawRow(call) {
  const again = make("button", { type: "button" }, "Run again", make("span", { className: "unseen", textContent: `: ${call.name}` }));
  again.addEventListener("click", () => runCalls([call]));
  const script = make(
    "td",
    { className: "script", role: "cell" },
    make("h3", { id: `call-${call.id}`, textContent: call.name }),
    make("p", { className: "about", textContent: call.about }),
    make("pre", {}, make("code", { textContent: sourceOf(call) })),
    again,
  );
  const verdicts = {};
  for (const [way, label] of Object.entries(WAYS)) {
    const expected = expectation(call, way, page.isAllowed).verdict;
    verdicts[way] = make("td", { role: "cell", dataset: { label, expected } });
  }
  const reached = make("td", { role: "cell", className: "reached", dataset: { label: "What reached the API" } });
  reached.append(make("dl", {}, ...Object.keys(WAYS).map((way) => make("div", { dataset: { way } }))));
  const element = make("tr", { role: "row", dataset: { call: call.id } }, script, verdicts.direct, verdicts.proxied, reached);
  element.setAttribute("aria-labelledby", `call-${call.id}`);
  const row = { element, verdicts, reached, surprises: {} };
  page.rows.set(call.id, row);
  for (const way of Object.keys(WAYS)) reset(row, way);
  return element;
}

function reset(row, way) {
  delete row.verdicts[way].dataset[way];
  delete row.reached.dataset[`reached${capital(way)}`];
  delete row.element.dataset.asExpected;
  row.surprises[way] = false;
  drawVerdict(row, way, { verdict: "waiting" });
  row.reached.querySelector(`[data-way=${way}]`).replaceChildren(
    make("dt", { textContent: way === "direct" ? "Straight" : "Through corsproxy" }),
    make("dd", {}, make("span", { className: "quiet", textContent: "–" })),
  );
}

function drawVerdict(row, way, { verdict, said, seen, because, wanted }) {
  const isSurprise = wanted !== undefined && verdict !== wanted;
  row.verdicts[way].replaceChildren(
    make(
      "p",
      { className: "line" },
      make("span", { className: "verdict", dataset: { verdict } }, icon(verdict), wordFor(verdict, way, wanted)),
      isSurprise ? make("span", { className: "surprise", textContent: `Unexpected: it should be ${WORDS[wanted].toLowerCase()}` }) : null,
    ),
    ...[
      said && make("p", { className: "said", textContent: said }),
      seen && make("pre", { className: "seen" }, make("code", { textContent: excerpt(seen) })),
      because && make("p", { className: "because", textContent: because }),
    ].filter(Boolean),
  );
}

function wordFor(verdict, way, wanted) {
  return verdict === "blocked" && way === "proxied" && wanted === "blocked" ? "Blocked by the policy" : WORDS[verdict];
}

function drawReached(row, way, entries, reached, wanted, call) {
  const withCookie = entries.some((entry) => entry.has_cookies) ? "with a cookie" : "";
  const noPreflight = way === "proxied" && call.preflight && reached !== "nothing" ? "corsproxy answered the preflight" : "";
  const note = [withCookie, noPreflight].filter(Boolean).join(", ");
  const detail = make("dd", {}, make("span", { className: reached === "nothing" ? "nothing" : "request", textContent: reached }));
  if (note) detail.append(make("span", { className: "note", textContent: note }));
  if (reached !== wanted) detail.append(make("span", { className: "surprise", textContent: `Unexpected: it should be ${wanted}` }));
  row.reached.querySelector(`[data-way=${way}] dd`).replaceWith(detail);
}

function drawPlaces() {
  const { allowed_origin: allowed, policy, api_url: api, proxy_url: proxy } = page.places;
  const here = location.origin;
  const otherHost = location.hostname === "localhost" ? "127.0.0.1" : "localhost";
  const other = page.isAllowed ? `${location.protocol}//${otherHost}:${location.port}` : allowed;
  const link = document.getElementById("other-origin");
  document.body.dataset.origin = page.isAllowed ? "allowed" : "refused";
  text("page-origin", here);
  text("origin-verdict", page.isAllowed ? "is the one that the policy allows." : `is not the one that the policy allows: that is ${allowed}. Here everything must be blocked.`);
  text("api-url", api);
  if (page.places.inspector_url) {
    document.getElementById("inspector-link").href = page.places.inspector_url;
    document.getElementById("inspector").hidden = false;
  }
  text("proxy-url", proxy);
  document.getElementById("policy-text").replaceChildren(...policy.trimEnd().split("\n").map((line) => make("span", { textContent: line })));
  document.getElementById("policy").hidden = !policy;
  link.href = `${other}/`;
  link.textContent = page.isAllowed ? "Open this page from an origin that the policy does not allow" : "Open this page from the allowed origin";
}

function text(id, content) {
  document.getElementById(id).textContent = content;
}

function excerpt(seen) {
  const trimmed = seen.trim();
  return trimmed.length > EXCERPT && !trimmed.includes("\n") ? `${trimmed.slice(0, EXCERPT)}…` : trimmed.slice(0, 2 * EXCERPT);
}

function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}

function say(message) {
  text("status", message);
}

function progress(done, count) {
  Object.assign(document.getElementById("progress"), { value: done, max: count });
}

function broken(message) {
  document.body.dataset.state = "broken";
  say(message);
}

// Beginning.

try {
  page.places = await (await fetch("/config.json")).json();
  page.isAllowed = location.origin === page.places.allowed_origin;
  page.groups = groupsAt(page.places);
  const calls = page.groups.flatMap((group) => group.calls);
  drawPlaces();
  drawTable();
  document.getElementById("run-all").addEventListener("click", () => runCalls(calls));
  await runCalls(calls);
} catch (error) {
  broken(`The page could not start: ${error.message}`);
}
