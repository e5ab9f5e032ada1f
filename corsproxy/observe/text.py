"""
The line of an exchange for a person at a terminal.

It knows colours, columns and the width of a screen; what may be said, it asks `fields`.
"""

from datetime import datetime
from typing import Final

from corsproxy.cors.decide import Reason
from corsproxy.observe.fields import MAX_MESSAGE, cut, target_of, text_of
from corsproxy.observe.folding import MANY, Fold
from corsproxy.observe.terminal import paint, printable
from corsproxy.record import ExchangeRecord

_OWN_MACHINE: Final = ("127.", "::1", "unix")
# What is said of an exchange follows its path, at the same place where paths are short.
_PATH_WIDTH: Final = 24
_PATH_WIDTH_NARROW: Final = 16
_WIDE: Final = 120
_LEAST_PATH: Final = 32
_DIM, _RED, _GREEN, _YELLOW, _CYAN = "2", "1;31", "32", "33", "36"
_BY_CLASS: Final = {1: _CYAN, 2: _GREEN, 3: _CYAN, 4: _YELLOW, 5: _RED}
# Not worth a word: that a line stands there without a problem says it.
_UNREMARKABLE: Final = frozenset({Reason.NO_ORIGIN, Reason.SAME_ORIGIN, Reason.ORIGIN_ALLOWED, Reason.CORS_PASSTHROUGH})
_HARMLESS: Final = _UNREMARKABLE | {Reason.PREFLIGHT_GRANTED}
_KIBI: Final = 1024


def format_text(record: ExchangeRecord, *, colour: bool = False, width: int = 0) -> str:
    """Write an exchange; a path that is too long for the screen loses its middle."""
    said = _said(record)
    status, took = str(record.status or "---"), _took(record.ended - record.started)
    front = f"{printable(text_of(record.method)):7} {took:>7}"
    path, query = target_of(record.target)
    target = printable(path + (f"?{query}" if query else ""))
    column = _PATH_WIDTH if not 0 < width < _WIDE else _PATH_WIDTH_NARROW
    if width:
        taken = len(f"00:00:00 000 {front} ") + sum(len(text) + 2 for text, _ in said)
        target = _squeeze(target, max(width - taken, _LEAST_PATH))
    hue = _BY_CLASS.get(record.status // 100, _YELLOW)
    pieces = [
        paint(clock(record.time), _DIM, colour=colour),
        paint(status, hue, colour=colour),
        front,
        target.ljust(column) if said else target,
    ]
    return " ".join([*pieces, *(f" {paint(text, shade or hue, colour=colour)}" for text, shade in said)])


def fold_text(fold: Fold, *, colour: bool = False) -> str:
    """Write what stands for refusals that repeat."""
    who = f"from {printable(fold.origin)}" if fold.origin else f"by {fold.client}"
    notes = "from many" if MANY in (fold.origin, fold.client) else ", ".join(filter(None, [who, _more(fold)]))
    more = f"{fold.count} more since {clock(fold.first)}"
    pieces = [paint(clock(fold.last), _DIM, colour=colour), paint(str(fold.status), _YELLOW, colour=colour), f"{more:{_PATH_WIDTH + 16}}"]
    return " ".join([*pieces, f" {paint(f'{fold.problem} {fold.title}', _YELLOW, colour=colour)}", f" {paint(notes, _DIM, colour=colour)}"])


def _more(fold: Fold) -> str:
    return "" if fold.reason == Reason.ORIGIN_REFUSED.value else printable(fold.reason)


def clock(seconds: float) -> str:
    """Write the time of day as the person's own clock shows it."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")


def _said(record: ExchangeRecord) -> list[tuple[str, str]]:
    """Say what is worth a word, each with its colour; "" is that of the status."""
    decision, problem = record.decision, record.problem
    notes = []
    if record.failure:
        notes.append(printable(cut(record.failure, MAX_MESSAGE)))
    # Where something else went wrong, it does not matter whose page called.
    if decision is not None and decision.origin and (problem is None or record.reason == decision.reason.value):
        notes.append(f"from {printable(text_of(decision.origin))}")
    reason = _reason(record)
    # A browser hides this answer from its page, whatever its status says.
    is_hidden = problem is None and decision is not None and decision.reason not in _HARMLESS
    if reason and not is_hidden:
        notes.append(reason)
    if record.client and not record.client.startswith(_OWN_MACHINE):
        notes.append(f"by {printable(cut(record.client))}")
    if record.retries:
        notes.append("tried again" if record.retries == 1 else f"tried again {record.retries} times")
    if problem is None:
        notes += [f"{_size(count)}{way}" for count, way in ((record.received, " up"), (record.sent, "")) if count]
    elif record.request_id:
        # People who ask about an error can name the id: its page shows it.
        notes.append(f"id {printable(record.request_id)}")
    said = [(f"{problem.code} {problem.title}", "")] if problem is not None else []
    if is_hidden:
        said.append((reason, _YELLOW))
    return [*said, (", ".join(notes), _DIM)] if notes else said


def _reason(record: ExchangeRecord) -> str:
    decision = record.decision
    if record.is_tunnel:
        return "WebSocket"
    if decision is None or (record.reason and record.reason != decision.reason.value):
        return printable(cut(record.reason))
    if decision.reason is Reason.PREFLIGHT_GRANTED:
        return f"preflight for {printable(text_of(decision.requested_method))}"
    if decision.reason in _UNREMARKABLE or (record.problem is not None and decision.reason is Reason.ORIGIN_REFUSED):
        return ""
    return " ".join(filter(None, [decision.reason.value, printable(text_of(decision.subject))]))


def _took(seconds: float) -> str:
    if seconds < 0:
        return "-"
    return f"{seconds * 1000:.1f}ms" if seconds < 1 else f"{seconds:.1f}s" if seconds < 1000 else f"{seconds / 60:.0f}min"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < _KIBI:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= _KIBI
    return f"{size:.1f} GiB"


def _squeeze(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    back = (room - 1) // 3
    return f"{text[: room - 1 - back]}…{text[len(text) - back :]}"
