"""
What was seen of cross-origin calls, as counts: who called, how, with what, and what the answers carried.

It reads what `plan()` decided and what passed; it keeps names and no values, and a bounded number of them. It judges nothing: what
follows from it for a policy stands in `learned.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from corsproxy.cors import names
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.problems import Stage
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import RequestHead, ResponseHead, survey_response
from corsproxy.semantics.framing import connection_options, nominated

MAX_ORIGINS: Final = 100
# Of each kind. A page uses a dozen; who sends more makes them up.
MAX_NAMES: Final = 200
# An origin of a browser is at most so long (MAX_ORIGIN_BYTES), and no name that anybody uses is.
MAX_NAME_BYTES: Final = 300

_NEVER_ASKED_FOR: Final = names.SAFELISTED_RESPONSE_HEADERS | names.FORBIDDEN_RESPONSE_HEADERS | names.UNREMARKABLE_RESPONSE_HEADERS
_AUTHORIZATION: Final = b"authorization"
# How a script asks, as far as the browser says so (Fetch Metadata 2.2): older ones do not.
_OF_SCRIPTS: Final = frozenset({b"", b"cors"})


class Counts:
    """Counts by names that clients choose. The first `most` of them are known; `others` counts what came under any other name, or a very long one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[bytes, int] = {}
        self.others = 0

    def add(self, name: bytes) -> None:
        """Count a name once more."""
        if name in self._counts or (len(self._counts) < self._most and len(name) <= MAX_NAME_BYTES):
            self._counts[name] = self._counts.get(name, 0) + 1
        else:
            self.others += 1

    def __getitem__(self, name: bytes) -> int:
        """Return how often a name came; 0 also for one that is not known."""
        return self._counts.get(name, 0)

    def __contains__(self, name: bytes) -> bool:
        """Tell whether a name came, and is known."""
        return name in self._counts

    def __len__(self) -> int:
        """Return how many names are known."""
        return len(self._counts)

    @property
    def total(self) -> int:
        """How often any name came."""
        return sum(self._counts.values()) + self.others

    def ranked(self) -> list[bytes]:
        """Return the names, the most frequent first."""
        return sorted(self._counts, key=lambda name: (-self._counts[name], name))


def _of_origins() -> Counts:
    return Counts(MAX_ORIGINS)


def _of_names() -> Counts:
    return Counts(MAX_NAMES)


@dataclass(slots=True)
class Sighting:
    """What the heads of one exchange show that its record does not: the request's mode, and the names of the answer's fields as spelled."""

    mode: bytes = b""
    answered: tuple[bytes, ...] = ()
    sets_cookie: bool = False

    def take(self, head: ResponseHead) -> None:
        """Take note of the upstream's head, as far as it goes on to the client."""
        survey = survey_response(head.lines)
        dropped = nominated(connection_options(survey))
        found = {name.lower(): name for name, _ in survey.passed if name.lower() not in dropped}
        self.answered = tuple(found.values())
        self.sets_cookie = b"set-cookie" in found


def is_writable(name: bytes) -> bool:
    """Tell whether a file can hold a header name: tokens may mean "any", or nothing at all, there. Pure."""
    return b"*" not in name and name != b"~"


def sight(head: RequestHead) -> Sighting:
    """Begin with what the request's own head shows. Pure."""
    modes = [value for name, value in head.lines if name.lower() == b"sec-fetch-mode"]
    return Sighting(modes[0] if len(modes) == 1 else b"")


@dataclass(slots=True)
class Evidence:
    """
    What was seen. Its counts are of exchanges.

    `calls` are cross-origin requests that were let in, and `preflights` what browsers asked before, both by origin; `sockets` are WebSocket handshakes.
    `sent` are calls by method and `good` those with an answer below 400; `asked` are methods that preflights asked for, `headers` the names in
    them, lower-case. `exposable` are names in answers that scripts cannot read unless they are exposed, and `spelled` how the upstream writes them.
    `cookies` and `logins` (HTTP authentication) count calls that only a script's `credentials: include` can have made so; `set_cookies` answers that set some,
    and `socket_cookies` handshakes with any. `failed` had no answer of the upstream, `erred` one of 400 or above.
    `refused` were not let in, by origin; `odd` were no preflights that a browser sends. `own` came from pages of the proxy's own origin, `plain` without an Origin.
    """

    calls: Counts = field(default_factory=_of_origins)
    preflights: Counts = field(default_factory=_of_origins)
    sockets: Counts = field(default_factory=_of_origins)
    refused: Counts = field(default_factory=_of_origins)
    sent: Counts = field(default_factory=_of_names)
    good: Counts = field(default_factory=_of_names)
    asked: Counts = field(default_factory=_of_names)
    headers: Counts = field(default_factory=_of_names)
    exposable: Counts = field(default_factory=_of_names)
    spelled: dict[bytes, bytes] = field(default_factory=dict)
    announced: set[bytes] = field(default_factory=set)
    cookies: int = 0
    logins: int = 0
    set_cookies: int = 0
    socket_cookies: int = 0
    tunnels: int = 0
    failed: int = 0
    erred: int = 0
    odd: int = 0
    own: int = 0
    plain: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether no page of another origin was let in."""
        return not (len(self.calls) or len(self.preflights) or len(self.sockets))

    @property
    def origins(self) -> list[bytes]:
        """Those that called, or asked whether they may, the most frequent first."""
        return list(dict.fromkeys((*self.calls.ranked(), *self.preflights.ranked())))

    @property
    def forgotten(self) -> int:
        """How many counts have no name, because there were too many names."""
        counts = (self.calls, self.preflights, self.sockets, self.refused, self.sent, self.asked, self.headers, self.exposable)
        return sum(each.others for each in counts)

    def add(self, record: ExchangeRecord, sighting: Sighting) -> None:
        """Take note of an exchange that ended."""
        decision = record.decision
        if decision is None or decision.reason is Reason.NO_ORIGIN:
            self.plain += 1
        elif decision.reason is Reason.SAME_ORIGIN:
            self.own += 1
        elif decision.refused:
            self.refused.add(decision.origin)
        elif decision.kind is Kind.PREFLIGHT:
            self._add_preflight(decision)
        elif decision.kind is Kind.WEBSOCKET:
            self._add_socket(record, decision)
        else:
            self._add_call(record, decision, sighting)

    def _add_preflight(self, decision: Decision) -> None:
        if decision.reason is not Reason.PREFLIGHT_GRANTED:
            self.odd += 1
            return
        self.preflights.add(decision.origin)
        self.asked.add(decision.requested_method)
        for name in decision.requested:
            self.headers.add(name)
        if _AUTHORIZATION in decision.requested and decision.origin in self.preflights:
            self.announced.add(decision.origin)

    def _add_socket(self, record: ExchangeRecord, decision: Decision) -> None:
        self.sockets.add(decision.origin)
        self.tunnels += record.is_tunnel
        if record.context is not None:
            # Browsers send what they have, whether the page wants that or not: no proof of anything.
            self.socket_cookies += record.context.exchange.has_cookie

    def _add_call(self, record: ExchangeRecord, decision: Decision, sighting: Sighting) -> None:
        self.calls.add(decision.origin)
        self.sent.add(record.method)
        if record.problem is not None and record.problem.stage is Stage.UPSTREAM:
            self.failed += 1
        elif record.status >= 400:
            self.erred += 1
        elif record.status:
            self.good.add(record.method)
        # A form that leads away and a picture send cookies too, and nobody checks their answers.
        if sighting.mode not in _OF_SCRIPTS:
            return
        self._expose(sighting.answered)
        self.set_cookies += sighting.sets_cookie
        if record.context is not None:
            exchange = record.context.exchange
            # > include: always includes credentials (Fetch #concept-request-credentials-mode). Across origins, no other mode sends any.
            self.cookies += exchange.has_cookie
            # What a script sets itself, a preflight has announced.
            self.logins += exchange.has_authorization and decision.origin not in self.announced

    def _expose(self, spelled: Iterable[bytes]) -> None:
        for name in spelled:
            lower = name.lower()
            if lower not in _NEVER_ASKED_FOR and lower not in names.REQUEST_ONLY and is_writable(lower):
                self.exposable.add(lower)
                if lower in self.exposable:
                    self.spelled.setdefault(lower, name)
