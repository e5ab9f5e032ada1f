"""
Everything about one call of one page: the model behind `corsproxy explain` and the inspector's page.

It gathers what its neighbours find out; it knows no terminal and writes no JSON.
"""

from dataclasses import dataclass
from typing import Final

from corsproxy.config.nodes import Node
from corsproxy.config.settings import Settings
from corsproxy.cors.browser import Stage, is_cross_origin
from corsproxy.cors.console import Engine, Failure, messages, rejection
from corsproxy.cors.names import SAFELISTED_RESPONSE_HEADERS
from corsproxy.cors.policy import CorsPolicy
from corsproxy.explanation.amended import Impossible
from corsproxy.explanation.change import Change, propose
from corsproxy.explanation.checks import Check, checks
from corsproxy.explanation.cookies import Cookies, cookies_of
from corsproxy.explanation.curl import curl_lines
from corsproxy.reasons import Why, why
from corsproxy.rehearse import PLAIN, Call, Ending, Exchange, Rehearsal, rehearse
from corsproxy.semantics.fields import ResponseHead

ALWAYS_EXPOSED: Final = tuple(sorted(SAFELISTED_RESPONSE_HEADERS))


@dataclass(frozen=True, slots=True)
class Console:
    """What one browser's console says, and what the script is told."""

    engine: Engine
    messages: tuple[str, ...]
    rejection: str


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What a script may read of the answer: status and body, and these headers.

    `names` are the exposed ones as the policy spells them, beside those that are always exposed; None for all but Set-Cookie.
    `is_per_answer`: they are named on each answer, for `*` does not count with credentials.
    """

    names: tuple[bytes, ...] | None
    is_per_answer: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    One call explained.

    `rehearsal` holds the requests and answers, and `ending`, what it comes to. `why` says what decided, and where that is written.
    `checks` are in the browser's order. `consoles` are empty for a call that works, and where only the upstream can tell. `change` is what
    to write so that it works; Impossible says why nothing in the policy helps, or would be safe; None where the call works. `reading` is
    None where the script reads nothing.
    """

    rehearsal: Rehearsal
    why: Why
    checks: tuple[Check, ...]
    consoles: tuple[Console, ...]
    change: Change | Impossible | None
    reading: Reading | None
    cookies: Cookies
    curl: tuple[str, ...]

    @property
    def ending(self) -> Ending:
        """What the call comes to."""
        return self.rehearsal.ending

    @property
    def made(self) -> tuple[Exchange, ...]:
        """The exchanges that the browser makes, in order."""
        first = (self.rehearsal.preflight,) if self.rehearsal.preflight is not None else ()
        return (*first, self.rehearsal.actual) if self.rehearsal.outcome.stage is Stage.ACTUAL else first


def explain(settings: Settings, call: Call, *, response: ResponseHead = PLAIN, root: Node | None = None) -> Explanation:
    """
    Explain one call: whether it works, why, by which line, and what to do.

    `response` is what the upstream answers; `root` the tree that the settings were read from, for the places of keys outside of policies.
    Pure; never raises. Nothing is masked: whoever shows it strikes out what `Loaded.secrets` holds.
    """
    return explain_rehearsal(settings, rehearse(settings, call, response), root=root)


def explain_rehearsal(settings: Settings, rehearsal: Rehearsal, *, root: Node | None = None) -> Explanation:
    """Explain a call that was played through already. Pure; never raises."""
    works = rehearsal.ending is Ending.WORKS
    return Explanation(
        rehearsal,
        why(settings, rehearsal),
        checks(settings, rehearsal, root),
        () if works or rehearsal.ending is Ending.UPSTREAM_DECIDES else _consoles(rehearsal),
        None if works else propose(settings, rehearsal),
        _reading(rehearsal),
        cookies_of(rehearsal),
        curl_lines(rehearsal),
    )


def failure_of(rehearsal: Rehearsal) -> Failure | None:
    """Return the failure that consoles speak of; None where the browser accepts what it gets: a 404 that the script can read is none. Pure."""
    outcome = rehearsal.outcome
    if outcome.ok:
        return None
    url = (rehearsal.request.url_origin + rehearsal.call.path).decode("ascii", "backslashreplace")
    status = rehearsal.decisive.response.status if outcome.stage is not Stage.SCRIPT else 0
    return Failure(rehearsal.request, url, outcome.stage, outcome.verdict, status, rehearsal.call.websocket)


def _consoles(rehearsal: Rehearsal) -> tuple[Console, ...]:
    failure = failure_of(rehearsal)
    if failure is None:
        return ()
    return tuple(Console(engine, messages(failure, engine), rejection(failure, engine)) for engine in Engine)


def _reading(rehearsal: Rehearsal) -> Reading | None:
    if rehearsal.outcome.response is None or rehearsal.ending is Ending.UPSTREAM_DECIDES or rehearsal.call.websocket:
        return None
    if not is_cross_origin(rehearsal.request):
        return Reading(None)
    policy = rehearsal.actual.planned.context.cors
    if rehearsal.actual.problem is not None or not isinstance(policy, CorsPolicy):
        readable = {name.lower() for name, _ in rehearsal.outcome.response.fields} - SAFELISTED_RESPONSE_HEADERS
        return Reading(tuple(sorted(readable)))
    if policy.exposed is None:
        return Reading(None, is_per_answer=policy.credentials)
    return Reading(policy.exposed)
