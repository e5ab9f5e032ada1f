"""What became of an exchange, in the few stable words that metrics and people use."""

from enum import StrEnum
from typing import Final

from corsproxy import problems
from corsproxy.cors.decide import Kind, Reason
from corsproxy.problems import Problem, Stage


class Outcome(StrEnum):
    """What the policy made of a request. `WITHHELD`: it went upstream, and the script may not read the answer (`enforce: false`)."""

    NONE = "none"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHHELD = "withheld"
    PASSTHROUGH = "passthrough"


_BY_REASON: Final = {
    Reason.NO_ORIGIN: Outcome.NONE,
    Reason.SAME_ORIGIN: Outcome.NONE,
    Reason.CORS_PASSTHROUGH: Outcome.PASSTHROUGH,
    Reason.ORIGIN_ALLOWED: Outcome.GRANTED,
    Reason.PREFLIGHT_GRANTED: Outcome.GRANTED,
}

# Why an upstream failed. The pool that is full is ours, and it is full because the upstream is slow.
UPSTREAM_FAILURES: Final[dict[str, str]] = {
    code: problem.word
    for code, problem in problems.catalogue().items()
    if problem.stage is Stage.UPSTREAM or problem is problems.UPSTREAM_POOL_FULL
}
_RATE_LIMITED_STATUS: Final = 429


def outcome_of(kind: str, reason: str, *, refused: bool) -> Outcome:
    """Say what a decision came to. A preflight whose method or header is not listed gets the lists and no permission."""
    if refused:
        return Outcome.REFUSED
    found = _BY_REASON.get(Reason(reason))
    if found is not None:
        return found
    return Outcome.REFUSED if kind == Kind.PREFLIGHT else Outcome.WITHHELD


def is_rate_limited(problem: Problem) -> bool:
    """Tell whether a problem says that a client asked too often."""
    return problem.status == _RATE_LIMITED_STATUS
