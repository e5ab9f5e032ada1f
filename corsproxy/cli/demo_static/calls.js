// The calls of the demo, as a table. The page shows `run` and `read` as they stand here, so what you read is what runs.
//
//   run        makes the call; a TypeError from it means that the browser blocked the call
//   read       takes from the answer what a script is after; without it the page shows the start of the body
//   shows      puts what was read into words
//   check      says what is wrong with what was read, or nothing
//   preflight  whether the browser sends OPTIONS first
//   reached    what reaches the legacy API when the call passes
//   refusal    why the policy of the demo refuses the call; a call without it passes
//   isFar      calls the proxy by its name on another site, where it has one

const NO_HEADER =
  "The API answered, but without Access-Control-Allow-Origin: the browser keeps the answer from the script.";
const NO_PREFLIGHT =
  "The browser first asks with OPTIONS. The API answers 405 without any CORS header, so the call itself is never sent.";
const FORM_PASSED =
  "A form needs no preflight, so the login did happen and the browser only hid the answer: CORS alone keeps nobody from writing.";
const FORM_STOPPED =
  "Straight, this form reaches the API. corsproxy stops it here, because the policy is enforced on calls without a preflight too.";

const GROUPS = [
  {
    title: "Read and write",
    calls: [
      {
        id: "simple-get",
        name: "Read a list",
        about: "The plainest call there is.",
        run: (base) => fetch(`${base}/orders?limit=2`),
        reached: "GET 200",
        straight: NO_HEADER,
      },
      {
        id: "exposed-header",
        name: "Read a response header",
        about: "A script may read X-Total-Count only because the policy exposes it.",
        run: (base) => fetch(`${base}/orders`),
        read: (answer) => answer.headers.get("X-Total-Count"),
        shows: (seen) => `X-Total-Count: ${seen}`,
        check: (seen) => (seen === null ? "The header is not exposed to the script." : ""),
        reached: "GET 200",
        straight: NO_HEADER,
      },
      {
        id: "post-json",
        name: "Create with JSON",
        about: "A JSON body is enough to make the browser ask first.",
        run: (base) => fetch(`${base}/orders`, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ article: "Clamp" }),
        }),
        preflight: true,
        reached: "POST 201",
        straight: NO_PREFLIGHT,
      },
      {
        id: "put-header",
        name: "Change, with a header of our own",
        about: "The policy lists PUT and X-Request-Source.",
        run: (base) => fetch(`${base}/orders/2`, {
          method: "PUT",
          headers: {
            "Content-Type": "application/json",
            "X-Request-Source": "demo",
          },
          body: JSON.stringify({ quantity: 900 }),
        }),
        preflight: true,
        reached: "PUT 200",
        straight: NO_PREFLIGHT,
      },
      {
        id: "delete",
        name: "Delete",
        about: "The policy lists DELETE. The answer is 204, without a body.",
        run: (base) => fetch(`${base}/orders/3`, { method: "DELETE" }),
        preflight: true,
        reached: "DELETE 204",
        straight: NO_PREFLIGHT,
      },
    ],
  },
  {
    title: "What the policy refuses",
    calls: [
      {
        id: "header-not-listed",
        name: "A header that is not listed",
        about: "As above, but nobody put X-Not-Listed into the policy.",
        run: (base) => fetch(`${base}/orders/2`, {
          method: "PUT",
          headers: { "X-Not-Listed": "1" },
        }),
        preflight: true,
        reached: "nothing",
        straight: NO_PREFLIGHT,
        refusal:
          "corsproxy answered the preflight with the headers that are allowed. X-Not-Listed is not among them, and the console names it.",
      },
      {
        id: "method-not-listed",
        name: "A method that is not listed",
        about: "The API would take PATCH; the policy does not.",
        run: (base) => fetch(`${base}/orders/1`, { method: "PATCH" }),
        preflight: true,
        reached: "nothing",
        straight: NO_PREFLIGHT,
        refusal:
          "corsproxy answered the preflight with the methods that are allowed. PATCH is not among them, and the console names it.",
      },
    ],
  },
  {
    title: "Cookies, errors, wrong headers",
    calls: [
      {
        id: "login-cookie",
        name: "Log in, then ask who I am",
        about: "The session lives in an HttpOnly cookie; both calls carry credentials.",
        run: async (base) => {
          await fetch(`${base}/login`, {
            method: "POST",
            credentials: "include",
            body: new URLSearchParams({ user: "ada" }),
          });
          return fetch(`${base}/me`, {
            credentials: "include",
          });
        },
        check: (seen) => (seen.includes('"ada"') ? "" : "The API did not recognise the session."),
        reached: "POST 200, GET 200",
        reachedStraight: "POST 200",
        straight: FORM_PASSED,
        refusedWrite: FORM_STOPPED,
      },
      {
        id: "cross-site-cookie",
        name: "A session cookie across sites",
        about:
          "As above, but to the proxy’s name api.localhost: to browsers, another site than this page. They would drop the API’s cookie there; the last line of the policy makes it one that they keep.",
        isFar: true,
        run: async (base) => {
          await fetch(`${base}/login`, {
            method: "POST",
            credentials: "include",
            body: new URLSearchParams({ user: "grace" }),
          });
          return fetch(`${base}/me`, {
            credentials: "include",
          });
        },
        check: (seen) => (seen.includes('"grace"') ? "" : "The API did not recognise the session: this browser keeps no cookie of another site."),
        reached: "POST 200, GET 200",
        reachedStraight: "POST 200",
        straight: FORM_PASSED,
        refusedWrite: FORM_STOPPED,
      },
      {
        id: "server-error",
        name: "An error of the API",
        about: "A script should see the 500, not “CORS error”.",
        run: (base) => fetch(`${base}/fail`),
        reached: "GET 500",
        straight:
          "The API answered 500, but without Access-Control-Allow-Origin: the script cannot tell it from a network failure.",
      },
      {
        id: "wrong-cors",
        name: "A wrong CORS header",
        about: "This answer allows https://somebody.else.example. corsproxy removes that and says the right thing.",
        run: (base) => fetch(`${base}/wrong-cors`),
        reached: "GET 200",
        straight: "The API allows https://somebody.else.example, which is not this page: the browser keeps the answer.",
      },
    ],
  },
  {
    title: "Streams and files",
    calls: [
      {
        id: "event-stream",
        name: "An event stream",
        about: "One event every half second; nothing on the way may hold them back.",
        run: (base) => new EventSource(`${base}/events`),
        read: (source, show) => {
          source.onmessage = (event) => show(event.data);
        },
        reached: "GET 200",
        straight: "The stream began, but without Access-Control-Allow-Origin: the browser closed it before the first event.",
      },
      {
        id: "download",
        name: "Download 5 MB",
        about: "The script counts what arrives.",
        run: (base) => fetch(`${base}/download?mb=5`),
        read: async (answer) => (await answer.blob()).size,
        shows: (seen) => `${seen.toLocaleString("en")} bytes arrived`,
        check: (seen) => (seen === 5 * 1024 * 1024 ? "" : "The download is not complete."),
        reached: "GET 200",
        straight: NO_HEADER,
      },
      {
        id: "upload",
        name: "Upload 5 MB",
        about: "The API counts what arrives.",
        run: (base) => fetch(`${base}/upload`, {
          method: "POST",
          headers: {
            "Content-Type": "application/octet-stream",
          },
          body: new Uint8Array(5 * 1024 * 1024),
        }),
        check: (seen) => (seen.includes('"bytes": 5242880') ? "" : "The upload is not complete."),
        preflight: true,
        reached: "POST 200",
        straight: NO_PREFLIGHT,
      },
    ],
  },
];

/** The calls that can be made where things are: one to another site only where the proxy has a name there. */
export function groupsAt(places) {
  return GROUPS.map((group) => ({ ...group, calls: group.calls.filter((call) => !call.isFar || places.far_url) }));
}

/** What the demo's policy makes of a call: the verdict on each way, and what reaches the API. */
export function expectation(call, way, isAllowed) {
  if (way === "direct") {
    const reached = call.reachedStraight ?? (call.preflight ? "OPTIONS 405" : call.reached);
    return { verdict: "blocked", reached, because: call.straight };
  }
  if (isAllowed && !call.refusal) return { verdict: "readable", reached: call.reached };
  if (isAllowed) return { verdict: "blocked", reached: "nothing", because: call.refusal };
  return { verdict: "blocked", reached: "nothing", because: refusedOrigin(call) };
}

function refusedOrigin(call) {
  if (call.refusedWrite) return call.refusedWrite;
  if (call.preflight) return "corsproxy answered the preflight with 403: this page’s origin is not in the policy.";
  return "corsproxy answered 403 without asking the API: this page’s origin is not in the policy.";
}

/** The code of a call, as it stands above. */
export function sourceOf(call) {
  const run = body(call.run);
  if (!call.read) return run;
  const name = call.read.toString().match(/^(?:async )?\(?(\w+)/)[1];
  const wait = name === "answer" ? "await " : "";
  return `const ${name} = ${wait}${run};\n${body(call.read)}`;
}

function body(made) {
  const text = made.toString().replace(/^(async )?\([^)]*\) => /, "");
  const lines = (text.startsWith("{") ? text.slice(1, -1).replace(/^\n|\s+$/g, "") : text).split("\n");
  const indents = lines.slice(text.startsWith("{") ? 0 : 1).map((line) => line.search(/\S/)).filter((indent) => indent >= 0);
  const indent = indents.length ? Math.min(...indents) : 0;
  return lines.map((line) => (/^\s/.test(line) ? line.slice(indent) : line)).join("\n");
}
