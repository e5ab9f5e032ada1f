"""Records of exchanges that nobody made, and any that hypothesis can think of."""

from hypothesis import strategies as st

from corsproxy import problems
from corsproxy.answers import Context, Exchange
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.record import ExchangeRecord

ORIGIN = b"https://app.example.com"
REFUSED = Decision(Kind.ACTUAL, Reason.ORIGIN_REFUSED, refused=True, origin=b"https://evil.example")
ALLOWED = Decision(Kind.ACTUAL, Reason.ORIGIN_ALLOWED, granted=True, origin=ORIGIN)


def record(**changes: object) -> ExchangeRecord:
    made = ExchangeRecord(1_700_000_000.0, 10.0, b"GET", b"/orders?page=2&token=hunter2", "127.0.0.1", status=200, ended=10.25)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def forwarded(**changes: object) -> ExchangeRecord:
    """An exchange with every field that there can be."""
    exchange = Exchange(b"abcdefgh", authority=b"api.example.com:8443", public=b"https://api.example.com:8443", client=b"203.0.113.9")
    context = Context(b"GET", 1, persistent=True, decision=ALLOWED, exchange=exchange)
    made = {
        "client": "203.0.113.9", "decision": ALLOWED, "context": context, "request_id": "abcdefgh", "trace_id": "a" * 32, "span_id": "b" * 16,
        "user_agent": b"curl/8", "upstream": "http://up:81", "placed": 10.001, "connected": 10.003, "head": 10.2, "retries": 1,
        "received": 3, "sent": 7, "problem": problems.UPSTREAM_TRUNCATED, "failure": "it ended",
    }  # fmt: skip
    return record(**(made | changes))


anything = st.binary(max_size=60) | st.binary(min_size=1, max_size=1).map(lambda byte: byte * 3000) | st.text(max_size=300).map(str.encode)
texts = st.text(max_size=300) | st.characters().map(lambda sign: sign * 2000)
times = st.just(0.0) | st.floats(10.0, 1e6)
exchanges = st.builds(
    Exchange,
    authority=anything,
    public=st.sampled_from([b"", b"https://api.example.com", b"http://localhost:8080"]),
)
contexts = st.none() | st.builds(Context, st.just(b"GET"), st.sampled_from([-1, 0, 1]), persistent=st.just(value=True), exchange=exchanges)
decisions = st.none() | st.builds(
    Decision, st.sampled_from(Kind), st.sampled_from(Reason), origin=anything, subject=anything, requested_method=anything
)
records = st.builds(
    ExchangeRecord,
    time=st.floats(0, 4e9),
    started=st.just(10.0),
    method=anything,
    target=anything | anything.map(lambda sent: b"/?" + sent) | anything.map(lambda sent: b"/%b?token=%b" % (sent, sent)),
    client=texts,
    status=st.sampled_from([0, 101, 200, 302, 404, 502]),
    decision=decisions,
    context=contexts,
    reason=texts | st.just(""),
    problem=st.none() | st.sampled_from(list(problems.catalogue().values())),
    failure=texts | st.just(""),
    request_id=st.from_regex(r"([A-Za-z0-9_.-]{8,128})?", fullmatch=True),
    trace_id=st.from_regex(r"([0-9a-f]{32})?", fullmatch=True),
    span_id=st.from_regex(r"([0-9a-f]{16})?", fullmatch=True),
    user_agent=anything,
    upstream=texts | st.just(""),
    retries=st.integers(0, 3),
    received=st.integers(0, 1 << 40),
    sent=st.integers(0, 1 << 40),
    placed=times,
    connected=times,
    head=times,
    ended=times,
    is_tls=st.booleans(),
)
