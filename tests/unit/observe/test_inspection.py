"""What the inspector says of one exchange: the fields that were sent, and a command that shows the same again."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.cli.main import main
from corsproxy.config.load import load_file
from corsproxy.config.settings import Settings
from corsproxy.observe.entry import entry_of
from corsproxy.observe.inspection import call_of, inspect
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.websocket import UPGRADE_LINES
from tests.unit.observe.observed import APP, EVIL, POLICY, preflight, recorded, settings_of

SETTINGS = settings_of()
HANDSHAKE = (*UPGRADE_LINES, (b"Sec-WebSocket-Key", b"cmVoZWFyc2FsLW9mLXdzcw=="), (b"Sec-WebSocket-Version", b"13"))
COOKIE = (b"Cookie", b"sid=very-secret")

# What a browser may have sent, each with the reason that the command has to show.
REPRODUCED = [
    recorded(SETTINGS, b"GET", b"/orders?q=1", APP),
    recorded(SETTINGS, b"GET", b"/orders", EVIL),
    recorded(SETTINGS, b"GET", b"/orders", b"null"),
    recorded(SETTINGS, b"PUT", b"/orders/1", EVIL),
    recorded(SETTINGS, b"GET", b"/partners/1", EVIL),
    recorded(SETTINGS, b"GET", b"/partners/1", b"https://eu.partner.example:8443"),
    recorded(SETTINGS, b"GET", b"/internal/1", APP),
    recorded(SETTINGS, b"GET", b"/orders", APP, COOKIE),
    recorded(SETTINGS, b"PUT", b"/orders", APP, COOKIE),
    recorded(SETTINGS, b"GET", b"/a;'b$(id)`id`\"|&<>", APP),
    recorded(SETTINGS, b"GET", b"/live", EVIL, *HANDSHAKE),
    recorded(SETTINGS, b"GET", b"/live", APP, *HANDSHAKE),
    preflight(SETTINGS, APP, b"DELETE"),
    preflight(SETTINGS, APP, b"PUT", b"x-trace", b"content-type"),
    preflight(SETTINGS, APP, b"PUT", b"-x", b"x-$id`id`|'"),
    preflight(SETTINGS, EVIL, b"PUT", b"x-trace"),
]


def inspected(
    record: ExchangeRecord, settings: Settings = SETTINGS, source: tuple[str, ...] = ("--config", "corsproxy.yaml")
) -> dict[str, Any]:
    return inspect(entry_of(record, "a1-1", SETTINGS), settings, source)


@pytest.mark.parametrize(
    "record", REPRODUCED, ids=lambda record: f"{record.method.decode()} {record.target.decode()} {record.decision.reason}"
)
def test_the_command_shows_the_same_reason(record: ExchangeRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "it's a policy.yaml"
    policy.write_text(POLICY)
    found = inspected(record, source=("--config", str(policy)))

    assert found["command_note"] == ""
    words = shlex.split(found["command"])
    assert words[:2] == ["corsproxy", "explain"]
    assert main([*words[1:], "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["reason"] == found["entry"]["reason"]


@pytest.mark.parametrize(
    ("record", "reason", "said"),
    [
        (preflight(SETTINGS, APP, b"PUT", b"content-type"), "preflight-granted", "comes to origin-allowed"),
        (recorded(SETTINGS, b"DELETE", b"/orders", APP), "method-refused", "preflight-method-refused"),
    ],
)
def test_where_an_exchange_is_one_of_two_the_command_shows_both_and_that_is_said(record: ExchangeRecord, reason: str, said: str) -> None:
    found = inspected(record)

    assert found["entry"]["reason"] == reason
    assert found["command"].startswith("corsproxy explain")
    assert said in found["command_note"]


@pytest.mark.parametrize(
    "record",
    [
        recorded(SETTINGS),
        recorded(SETTINGS, b"GET", b"/orders", b"HTTPS://App"),
        recorded(SETTINGS, b"GET", b"/" + b"a" * 5000, APP),
        recorded(SETTINGS, b"OPTIONS", b"*"),
        recorded(SETTINGS, b"GET", b"/own/1", EVIL),
        preflight(SETTINGS, APP, b"PUT", b"cookie"),
    ],
)
def test_what_no_script_can_have_sent_has_no_command(record: ExchangeRecord) -> None:
    assert inspected(record)["command"] in ("", f"corsproxy explain-code {record.problem.code if record.problem else ''}")


def test_a_problem_that_is_none_of_the_policys_leads_to_its_code() -> None:
    found = inspected(recorded(SETTINGS, b"GET", b"/orders", APP, problem=problems.UPSTREAM_REFUSED, status=502))

    assert found["command"] == f"corsproxy explain-code {problems.UPSTREAM_REFUSED.code}"


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (recorded(SETTINGS, b"GET", b"/orders", EVIL), [["Vary", "Origin, Accept"]]),
        (recorded(SETTINGS, b"GET", b"/orders", APP), [["Vary", "Origin"], ["Access-Control-Allow-Origin", APP.decode()]]),
        (
            preflight(SETTINGS, APP, b"DELETE"),
            [
                ["Access-Control-Allow-Origin", APP.decode()],
                ["Access-Control-Allow-Methods", "GET, PUT"],
                ["Access-Control-Allow-Headers", "content-type"],
                ["Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"],
            ],
        ),
    ],
)
def test_it_shows_the_fields_that_were_sent(record: ExchangeRecord, fields: list[list[str]]) -> None:
    assert inspected(record)["sent"]["fields"] == fields


def test_fields_of_another_status_are_not_shown_for_this_one() -> None:
    """The settings in force answer otherwise than those of then."""
    mended = settings_of(POLICY.replace("allow_methods: [GET, PUT]", "allow_methods: [GET, PUT, DELETE]"))
    refused = recorded(SETTINGS, b"DELETE", b"/orders", EVIL)
    open_to_all = settings_of("upstream: http://legacy.internal\ncors: {allow_origins: '*'}\n")

    assert inspected(refused, mended)["sent"] is not None
    assert inspected(refused, open_to_all)["sent"]["from_upstream"] is True


def test_of_a_route_that_passes_cors_through_nothing_is_known() -> None:
    found = inspected(recorded(SETTINGS, b"GET", b"/own/1", EVIL))

    assert (found["entry"]["origin"], found["sent"], found["now"]) == ("", None, None)


def test_secret_values_of_response_headers_are_masked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HIDDEN", "very-secret-value")
    policy = tmp_path / "corsproxy.yaml"
    policy.write_text(POLICY + "headers: {response: {set: {Timing-Allow-Origin: '${HIDDEN}'}}}\n")
    settings = load_file(policy, {}, {"HIDDEN": "very-secret-value"}).settings
    assert settings is not None
    found = inspect(entry_of(recorded(settings, b"GET", b"/orders", APP), "a1-1", settings), settings, ())

    assert ["Timing-Allow-Origin", "***"] in found["sent"]["fields"]
    assert "very-secret" not in json.dumps(found)


def test_a_preflight_belongs_to_the_call_that_it_asks_for() -> None:
    call = call_of(entry_of(preflight(SETTINGS, APP, b"PUT", b"x-trace"), "a1-1", SETTINGS))

    assert call is not None
    assert (call.origin, call.method, call.path, call.host, call.headers) == (APP, b"PUT", b"/orders", b"localhost:8080", (b"x-trace",))
