#!/usr/bin/env python3
"""
What deciding costs: CPU time of `plan()`, of the answers that it gives, and of `edits.receive` with `edits.render`.

    python bench/decide.py              a table in Markdown
    python bench/decide.py --profile plan-get

No sockets and no event loop: what is measured is the deciding half of an exchange and nothing else. Each figure is the best of several
rounds, because whatever else the machine does can only add to it. Heads are made anew for each call, as a parser makes them: nothing in
them has been hashed or compared before.
"""

import argparse
import cProfile
import platform
import pstats
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from corsproxy import edits
from corsproxy.answers import Answer, Context
from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings
from corsproxy.plan import Connection, Fresh, plan
from corsproxy.semantics.fields import FieldLine, RequestHead, ResponseHead

POLICY = """
upstream: http://127.0.0.1:9000
cors:
  allow_origins: [https://app.example.com]
  allow_methods: [GET, POST, PUT, PATCH, DELETE]
  allow_headers: [authorization, content-type]
  expose_headers: [X-Request-Id]
  allow_credentials: true
  max_age: 10m
"""
CLIENT = Connection("192.0.2.1")
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
# Few, so that what was made just now is still at hand, as it is behind a parser.
CALLS = 50


def lines(text: str) -> list[FieldLine]:
    return [(name.encode(), value.encode()) for name, _, value in (line.partition(": ") for line in text.strip().splitlines())]


WRK = lines("""Host: 127.0.0.1:8080
Origin: https://app.example.com""")
PLAIN = lines("""Host: 127.0.0.1:8080
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36
Accept: application/json, text/plain, */*
Accept-Encoding: gzip, deflate, br
Accept-Language: en-US,en;q=0.9
Origin: https://app.example.com
Referer: https://app.example.com/
Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijklmnop
Cache-Control: no-cache
Cookie: session=0123456789abcdef0123456789abcdef""")
BROWSER = lines("""Host: 127.0.0.1:8080
Connection: keep-alive
sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24", "Google Chrome";v="128"
sec-ch-ua-mobile: ?0
sec-ch-ua-platform: "Linux"
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36
Accept: application/json, text/plain, */*
Origin: https://app.example.com
Sec-Fetch-Site: same-site
Sec-Fetch-Mode: cors
Sec-Fetch-Dest: empty
Referer: https://app.example.com/
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9,de;q=0.8
Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijklmnop
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; lang=en""")
POST = [*PLAIN[:6], (b"Content-Type", b"application/json"), (b"Content-Length", b"1011"), *PLAIN[8:]]
PREFLIGHT = lines("""Host: 127.0.0.1:8080
Origin: https://app.example.com
Access-Control-Request-Method: POST
Access-Control-Request-Headers: authorization,content-type""")
BROWSER_PREFLIGHT = [*PREFLIGHT, *BROWSER[5:7], *BROWSER[8:14]]

JSON = lines("""Server: nginx/1.22.1
Date: Sun, 06 Nov 1994 08:49:37 GMT
Content-Type: application/json
Content-Length: 250
Connection: keep-alive
ETag: "66f0c1a2-fa"
Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT
Cache-Control: max-age=60""")
OPINION = [
    *JSON,
    *lines("""Access-Control-Allow-Origin: *
Access-Control-Allow-Methods: GET
Vary: Accept-Encoding"""),
]
COOKIES = [
    *JSON,
    *lines("""Set-Cookie: session=0123456789abcdef; Path=/; HttpOnly; Secure; SameSite=None
Set-Cookie: theme=dark; Path=/; Secure; SameSite=None"""),
]


def copied(found: list[FieldLine], number: int) -> list[FieldLine]:
    """Make the same lines of other bytes; `{}` in one is a number of its own."""
    return [
        (bytes(bytearray(name)).replace(b"{}", b"%d" % number), bytes(bytearray(value)).replace(b"{}", b"%d" % number))
        for name, value in found
    ]


def settings_of(text: str) -> Settings:
    settings = load_text(text, "bench.yaml").settings
    assert settings is not None
    return settings


def planning(method: bytes, found: list[FieldLine], *, settings: Settings, written: bool = False) -> Callable[[int], Callable[[], None]]:
    """Plan requests; with `written`, write the answers too."""
    made = 0

    def prepare(calls: int) -> Callable[[], None]:
        nonlocal made
        heads = [RequestHead(method, b"/api/items/%d?page=1" % (n % 5000), 1, copied(found, n)) for n in range(made, made + calls)]
        ids = [Fresh(b"0123456789abcdef%08x" % n, b"", b"") for n in range(made, made + calls)]
        made += calls

        def run() -> None:
            for head, fresh in zip(heads, ids, strict=True):
                planned = plan(settings, head, CLIENT, fresh)
                if written:
                    assert isinstance(planned, Answer)
                    planned.to_bytes(DATE)

        return run

    return prepare


def editing(found: list[FieldLine], context: Context) -> Callable[[int], Callable[[], None]]:
    def prepare(calls: int) -> Callable[[], None]:
        heads = [ResponseHead(200, b"OK", 1, copied(found, n)) for n in range(calls)]

        def run() -> None:
            for head in heads:
                received = edits.receive(context, head)
                assert isinstance(received, edits.Received)
                edits.render(context, received, DATE, close=False)

        return run

    return prepare


def scenarios() -> dict[str, tuple[str, Callable[[int], Callable[[], None]]]]:
    settings = settings_of(POLICY)
    context = plan(settings, RequestHead(b"GET", b"/", 1, PLAIN), CLIENT, Fresh(b"0123456789abcdef00000000", b"", b"")).context
    unique_value, unique_name = [*BROWSER, (b"X-Trace-Id", b"{}")], [*BROWSER, (b"X-{}", b"1")]
    unique_origin = [line if line[0] != b"Origin" else (b"Origin", b"https://{}.example") for line in PLAIN]
    return {
        "plan-wrk": ("plan: GET, 2 fields", planning(b"GET", WRK, settings=settings)),
        "plan-get": ("plan: GET, 10 fields", planning(b"GET", PLAIN, settings=settings)),
        "plan-browser": ("plan: GET, 16 fields of a browser", planning(b"GET", BROWSER, settings=settings)),
        "plan-unique": ("plan: the same, one more value different every time", planning(b"GET", unique_value, settings=settings)),
        "plan-name": ("plan: the same, one more name different every time", planning(b"GET", unique_name, settings=settings)),
        "plan-origin": ("plan: GET, 10 fields, another Origin every time (refused)", planning(b"GET", unique_origin, settings=settings)),
        "plan-any": (
            'plan: the same under `allow_origins: "*"`',
            planning(b"GET", unique_origin, settings=settings_of('upstream: http://127.0.0.1:9000\ncors: {allow_origins: "*"}\n')),
        ),
        "plan-post": ("plan: POST, 10 fields", planning(b"POST", POST, settings=settings)),
        "preflight": ("plan and to_bytes: preflight, 4 fields", planning(b"OPTIONS", PREFLIGHT, settings=settings, written=True)),
        "preflight-browser": (
            "plan and to_bytes: preflight, 12 fields",
            planning(b"OPTIONS", BROWSER_PREFLIGHT, settings=settings, written=True),
        ),
        "edit-json": ("receive and render: 8 fields", editing(JSON, context)),
        "edit-cors": ("receive and render: 11 fields with CORS fields and Vary", editing(OPINION, context)),
        "edit-cookies": ("receive and render: 10 fields with two cookies", editing(COOKIES, context)),
    }


def cost_us(prepare: Callable[[int], Callable[[], None]], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        run = prepare(CALLS)
        began = time.process_time()
        run()
        best = min(best, (time.process_time() - began) / CALLS * 1e6)
    return best


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="some of the scenarios; all without")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--profile", metavar="NAME", help="show where the time of one scenario goes")
    options = parser.parse_args()
    found = scenarios()
    if options.profile:
        prepare = found[options.profile][1]
        prepare(CALLS)()
        run, profiler = prepare(500 * CALLS), cProfile.Profile()
        profiler.runcall(run)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        return
    say(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}; CPU us for each call\n")
    say("| what | us |\n|---|---|")
    for name in options.names or found:
        title, prepare = found[name]
        say(f"| {title} | {cost_us(prepare, options.rounds):.1f} |")


if __name__ == "__main__":
    main()
