"""Plans from memory: what is kept of them, what is not, and how much. That they are right is for tests/properties/test_recall.py."""

from dataclasses import replace

import pytest

from corsproxy.answers import Answer
from corsproxy.config.rates import Rate, RateLimit
from corsproxy.config.settings import Route, RouteLimits, Settings
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.policy import ANY, PolicyDraft, build_policy
from corsproxy.forward import Forward
from corsproxy.plan import Connection, Plan, plan
from corsproxy.recall import MAX_CLIENTS, MAX_DECISIONS, MAX_KEY_BYTES, MAX_SITES, Recall
from corsproxy.semantics.fields import FieldLine, RequestHead
from tests.unit.planned import CLIENT, FRESH

HOST: FieldLine = (b"Host", b"api.example")
APP: FieldLine = (b"Origin", b"https://app.example")
POLICY, _ = build_policy(PolicyDraft((ANY,)))
assert POLICY is not None
SETTINGS = Settings((Route(b"/", Upstream("http://up", "up", 80, b"up"), POLICY, limits=RouteLimits(10)),))


def fresh_settings(**limits: int) -> Settings:
    return replace(SETTINGS, limits=replace(SETTINGS.limits, **limits))


def ask(settings: Settings, *lines: FieldLine, target: bytes = b"/a", method: bytes = b"GET", client: Connection = CLIENT) -> Plan:
    return plan(settings, RequestHead(method, target, 1, [HOST, *lines]), client, FRESH)


def recall_of(settings: Settings) -> Recall:
    assert isinstance(settings.kept.by_plan, Recall)
    return settings.kept.by_plan


def decisions(settings: Settings) -> int:
    return len(recall_of(settings).known)


def test_a_decision_is_kept_when_it_is_asked_for_again() -> None:
    settings = fresh_settings()
    ask(settings, APP)
    ask(settings, APP)
    assert decisions(settings) == 0
    ask(settings, APP)
    assert decisions(settings) == 1


def test_what_only_passes_or_is_copied_makes_no_other_decision() -> None:
    settings = fresh_settings()
    for number in range(20):
        ask(
            settings,
            APP,
            (b"Cookie", b"%d" % number),
            (b"User-Agent", b"%d" % number),
            (b"Accept", b"text/x-%d" % number),
            (b"X-Request-Id", b"their-id-%d" % number),
            (b"traceparent", b"00-%032x-b7ad6b7169203331-01" % (number + 1)),
            target=b"/%d" % number,
            client=Connection(f"192.0.2.{number}"),
        )
    assert decisions(settings) == 1


def test_other_settings_remember_nothing() -> None:
    settings = fresh_settings()
    for _ in range(3):
        ask(settings, APP)
    assert replace(settings).kept.by_plan is None
    assert replace(settings) == settings


def test_refusals_are_not_kept() -> None:
    settings = fresh_settings()
    for _ in range(4):
        planned = ask(settings, method=b"TRACE")
        assert isinstance(planned, Answer)
        assert planned.status == 405
    assert decisions(settings) == 0


def test_a_key_that_is_too_long_is_not_kept() -> None:
    settings = fresh_settings()
    for _ in range(4):
        assert isinstance(ask(settings, (b"Via", b"1.1 " + b"x" * MAX_KEY_BYTES)), Forward)
    assert decisions(settings) == 0


def test_a_body_over_the_limit_is_refused_from_memory_too() -> None:
    settings = fresh_settings()
    for _ in range(3):
        assert isinstance(ask(settings, (b"Content-Length", b"10"), method=b"POST"), Forward)
    refused = ask(settings, (b"Content-Length", b"11"), method=b"POST")

    assert decisions(settings) == 1
    assert isinstance(refused, Answer)
    assert refused.status == 413


@pytest.mark.parametrize("passed", [b"X-A", b"Keep-Alive"])
def test_the_limit_of_the_head_holds_from_memory_to_the_byte(passed: bytes) -> None:
    settings = fresh_settings(request_head=2000)
    for _ in range(4):
        ask(settings, (passed, b"1"))
    spent = len(b"GET /a HTTP/1.1\r\nHost: api.example\r\n: \r\n") + len(passed)

    assert decisions(settings) == 1
    assert isinstance(ask(settings, (passed, b"x" * (2000 - spent))), Forward)
    refused = ask(settings, (passed, b"x" * (2001 - spent)))
    assert isinstance(refused, Answer)
    assert refused.status == 431


def test_the_limit_of_the_request_line_holds_from_memory_to_the_byte() -> None:
    settings = fresh_settings(request_line=200)
    for _ in range(4):
        ask(settings)
    spent = len(b"GET  HTTP/1.1\r\n")

    assert decisions(settings) == 1
    assert isinstance(ask(settings, target=b"/" + b"x" * (199 - spent)), Forward)
    refused = ask(settings, target=b"/" + b"x" * (200 - spent))
    assert isinstance(refused, Answer)
    assert refused.status == 414


def test_made_up_values_do_not_make_memory_grow_or_drive_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever decides is another one each time, and comes twice or more, so that it would be kept."""
    settings = fresh_settings()
    for _ in range(3):
        ask(settings, APP)
    recall = recall_of(settings)
    for number in range(3 * MAX_DECISIONS):
        made_up = b"made-up-%d.example" % number
        for _ in range(3):
            planned = plan(
                settings,
                RequestHead(b"GET", b"/", 1, [(b"Host", made_up), (b"Origin", b"https://" + made_up), (b"X-" + made_up, b"1")]),
                Connection(made_up.decode()),
                FRESH,
            )
            assert isinstance(planned, Forward)
        ask(settings, APP)
        assert len(recall.known) <= 2 * MAX_DECISIONS
        assert len(recall.clients) <= 2 * MAX_CLIENTS
        assert len(recall._sites) <= 2 * MAX_SITES
    assert decisions(settings) > MAX_DECISIONS
    # The honest one is still there.
    monkeypatch.setattr(recall, "_anew", None)
    assert isinstance(ask(settings, APP), Forward)


@pytest.mark.parametrize("field", [b"", b"x-api-key"])
def test_each_client_is_counted_by_its_own_key_from_memory_too(field: bytes) -> None:
    settings = replace(fresh_settings(), rate_limit=RateLimit(Rate(1, 1), 1, field))
    keys = []
    for number in range(6):
        planned = ask(settings, APP, (b"X-Api-Key", b"%d" % number), client=Connection(f"192.0.2.{number}"))
        keys.append(planned.context.exchange.rate_key)
    assert decisions(settings) == 1
    assert len(set(keys)) == 6


@pytest.mark.parametrize("lines", [[b"*/*", b"text/html"], [b"a" * 2000]])
def test_an_accept_that_could_fill_memory_is_in_none(lines: list[bytes]) -> None:
    settings = fresh_settings()
    for _ in range(4):
        planned = ask(settings, APP, *[(b"Accept", value) for value in lines])
        assert sum(map(len, planned.context.accept or ())) <= 1024
    assert decisions(settings) == 0
