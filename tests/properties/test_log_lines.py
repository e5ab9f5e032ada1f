"""Whatever was sent, a line of the log is one line, says what the fields say, and is bounded; no secret of a query is in it."""

import json
import select

from hypothesis import example, given, settings
from hypothesis import strategies as st

from corsproxy.observe.fields import attributes
from corsproxy.observe.shapes import format_json, format_logfmt, timestamp
from corsproxy.observe.text import format_text
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.query import show_query
from tests.unit.observe.exchanges import forwarded, records

PIPE_BUF = max(4096, getattr(select, "PIPE_BUF", 0))


def taken_apart(line: str) -> dict[str, object]:
    """Read logfmt."""
    fields: dict[str, object] = {}
    while line:
        name, _, line = line.partition("=")
        if line.startswith('"'):
            fields[name], end = json.JSONDecoder().raw_decode(line)
            line = line[end:].removeprefix(" ")
        else:
            fields[name], _, line = line.partition(" ")
    return fields


@given(records)
@example(forwarded())
@example(forwarded(problem=None, failure=""))
@example(forwarded(problem=None, failure="", placed=10.003))
@example(forwarded(problem=None, failure="", placed=0.0, connected=0.0, head=0.0, upstream=""))
@settings(max_examples=200)
def test_a_line_says_what_the_fields_say(made: ExchangeRecord) -> None:
    said, line = attributes(made), format_json(made)

    assert json.loads(line) == {"@timestamp": timestamp(made.time), "event.dataset": "corsproxy.access", **said}
    assert line.isascii()
    assert line.isprintable()
    # What a pipe takes at once, it keeps whole.
    assert len(line) < PIPE_BUF
    assert taken_apart(format_logfmt(made)) == {
        "time": timestamp(made.time),
        "event.dataset": "corsproxy.access",
        **{name: str(value) for name, value in said.items()},
    }
    assert format_text(made).isprintable()
    assert format_text(made, width=80).isprintable()


@given(st.lists(st.tuples(st.sampled_from([b"token", b"page", b"API_KEY", b"%63ode"]), st.binary(max_size=20)), max_size=5))
@example([(b"page", b"token=hunter2")])
def test_no_value_of_a_secret_is_shown(pairs: list[tuple[bytes, bytes]]) -> None:
    """Values are marked, so that they can be told from everything else."""
    query = b"&".join(b"%b=%b" % (name, b"hunter2" if name != b"page" else value) for name, value in pairs)

    assert "hunter2" not in show_query(query).replace("page=hunter2", "")
