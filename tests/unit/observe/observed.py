"""Records as a lane writes them: of requests that the plan has judged."""

from typing import Final

from corsproxy.answers import Answer
from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings
from corsproxy.plan import Tunnel, plan
from corsproxy.problems import Problem
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import FieldLine, RequestHead
from tests.unit.planned import CLIENT, FRESH

APP: Final = b"https://app.example.com"
EVIL: Final = b"https://evil.example"
POLICY: Final = """\
listen: 127.0.0.1:8080
upstream: http://legacy.internal:9000
cors:
  allow_origins: [https://app.example.com]
  allow_methods: [GET, PUT]
policies:
  partners:
    allow_origins: ["https://*.partner.example"]
    enforce: false
routes:
  - {path: /partners, upstream: "http://partners.internal", cors: partners}
  - {path: /internal, upstream: "http://legacy.internal:9000", cors: none}
  - {path: /own, upstream: "http://legacy.internal:9000", cors: passthrough}
"""


def settings_of(text: str = POLICY) -> Settings:
    loaded = load_text(text, "corsproxy.yaml")
    assert loaded.settings is not None, loaded.diagnostics
    return loaded.settings


def recorded(
    settings: Settings,
    method: bytes = b"GET",
    target: bytes = b"/orders",
    origin: bytes = b"",
    *lines: FieldLine,
    status: int = 200,
    problem: Problem | None = None,
) -> ExchangeRecord:
    """What a lane has noted of one exchange; `status` and `problem` are what the upstream made of it."""
    origins = ((b"Origin", origin),) if origin else ()
    planned = plan(settings, RequestHead(method, target, 1, [(b"Host", b"localhost:8080"), *origins, *lines]), CLIENT, FRESH)
    record = ExchangeRecord(1_700_000_000.0, 10.0, method, target, "192.0.2.1", ended=10.25)
    record.context, record.decision = planned.context, planned.context.decision
    record.request_id = planned.context.exchange.request_id.decode()
    if isinstance(planned, Answer):
        record.status, record.reason, record.problem = planned.status, planned.reason, planned.problem
        return record
    record.upstream, record.connected, record.head = planned.route.upstream.url, 10.1, 10.2
    record.status, record.problem = 101 if isinstance(planned, Tunnel) else status, problem
    return record


def preflight(settings: Settings, origin: bytes, method: bytes, *names: bytes, target: bytes = b"/orders") -> ExchangeRecord:
    asked = ((b"Access-Control-Request-Headers", b",".join(names)),) if names else ()
    return recorded(settings, b"OPTIONS", target, origin, (b"Access-Control-Request-Method", method), *asked)
