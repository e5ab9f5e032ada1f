"""Exchanges of a proxy that learns, without a socket."""

from dataclasses import dataclass, field

from corsproxy.config.load import load_flags
from corsproxy.cors.policy import CorsPolicy
from corsproxy.learning.evidence import Evidence, sight
from corsproxy.learning.permissive import permissive, while_learning
from corsproxy.plan import plan
from corsproxy.problems import Problem
from corsproxy.record import ExchangeRecord
from corsproxy.rehearse import HANDSHAKE
from corsproxy.semantics.fields import FieldLine, RequestHead, ResponseHead
from tests.unit.planned import CLIENT, FRESH

PAGE = b"http://localhost:5173"
JSON: tuple[FieldLine, ...] = ((b"Content-Type", b"application/json"),)


@dataclass
class Seen:
    """Evidence, and what puts exchanges among it: each is planned as the live proxy does."""

    origins: tuple[str, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)

    def __post_init__(self) -> None:
        loaded, policy = load_flags("http://localhost:9000", ["https://a.example"]).settings, permissive(self.origins)
        assert loaded is not None
        assert isinstance(policy, CorsPolicy)
        self.settings = while_learning(loaded, policy)

    def request(self, method: bytes, *lines: FieldLine, answer: ResponseHead | None = None, problem: Problem | None = None) -> None:
        head = RequestHead(method, b"/orders?key=of-a-secret", 1, [(b"Host", b"localhost:8080"), *lines])
        record = ExchangeRecord(0.0, 0.0, method, head.target, "192.0.2.1", problem=problem)
        record.context = plan(self.settings, head, CLIENT, FRESH).context
        record.decision = record.context.decision
        sighting = sight(head)
        if answer is not None:
            sighting.take(answer)
            record.status = answer.status
        self.evidence.add(record, sighting)

    def preflight(self, method: bytes, *names: bytes, origin: bytes = PAGE) -> None:
        lines = [(b"Origin", origin), (b"Access-Control-Request-Method", method)]
        self.request(b"OPTIONS", *lines, *([(b"Access-Control-Request-Headers", b",".join(names))] if names else []))

    def call(
        self, method: bytes = b"GET", *lines: FieldLine, answered: tuple[FieldLine, ...] = (), status: int = 200, origin: bytes = PAGE
    ) -> None:
        self.request(method, (b"Origin", origin), *lines, answer=ResponseHead(status, b"OK", 1, [*JSON, *answered]))

    def socket(self, *lines: FieldLine, origin: bytes = PAGE) -> None:
        self.request(b"GET", (b"Origin", origin), *HANDSHAKE, *lines, answer=ResponseHead(101, b"", 1, []))
