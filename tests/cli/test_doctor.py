"""`corsproxy doctor` as a user meets it: words, JSON, exit codes, and a proxy beside the API."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from corsproxy.cli.main import main
from tests.cli.test_run import running
from tests.doctor.servers import ORIGIN, Asked, Script, Told, good, serving

CALL = ["--origin", ORIGIN, "--method", "PUT", "--header", "Content-Type: application/json"]


@contextmanager
def served(script: Script) -> Iterator[str]:
    """Serve by a script beside the test."""
    addresses: list[str] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(script) as url:
            addresses.append(url)
            ready.set()
            await asyncio.to_thread(over.wait, 60)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield addresses[0]
    finally:
        over.set()
        thread.join(20)


def test_a_correct_server_works(capsys: pytest.CaptureFixture[str]) -> None:
    with served(good) as url:
        code = main(["doctor", f"{url}/orders", *CALL])

    out = capsys.readouterr().out
    assert code == 0
    assert out.startswith(f"works\n  PUT {url}/orders from {ORIGIN}\n")
    assert "for up to 600 s" in out
    assert "FAULT" not in out


def test_a_broken_one_is_told_first_and_with_its_fix(capsys: pytest.CaptureFixture[str]) -> None:
    with served(lambda _: Told(401)) as url:
        code = main(["doctor", url, *CALL])

    out = capsys.readouterr().out
    assert code == 1
    assert out.startswith(
        "a browser fails: the preflight gets 401: it carries no credentials, and must not need any (preflight-unauthorized)\n"
    )
    assert "fix: answer OPTIONS with an Origin and Access-Control-Request-Method before the login" in out
    assert "Chromium" in out


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with served(lambda _: Told(401)) as url:
        code = main(["doctor", url, *CALL, "--json"])

    (found,) = json.loads(capsys.readouterr().out)
    assert code == 1
    assert found["works"] is False
    first = found["findings"][0]
    assert (first["name"], first["severity"], first["step"]) == ("preflight-unauthorized", "fault", "preflight")
    assert found["exchanges"] == [{"step": "preflight", "method": "OPTIONS", "url": url, "status": 401, "trouble": None}]
    assert set(found["consoles"]) == {"chromium", "firefox", "safari"}


def test_what_a_script_sends_in_secret_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with served(good) as url:
        main(["doctor", url, *CALL, "--header", "Authorization: Bearer s3cr3t-token"])

    assert "s3cr3t-token" not in capsys.readouterr().out


def plain(asked: Asked) -> Told:
    """An API that knows no CORS."""
    return Told(405 if asked.method == "OPTIONS" else 200)


def test_the_api_and_the_proxy_are_shown_side_by_side_with_the_line_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(plain) as api:
        file = tmp_path / "corsproxy.yaml"
        file.write_text(f"upstream: {api}\nadmin: off\ncors:\n  allow_origins: [{ORIGIN}]\n")
        with running("--config", str(file), "--listen", "127.0.0.1:0", cwd=tmp_path) as (_, port):
            flags = [f"{api}/orders", "--via", f"http://localhost:{port}", "--config", str(file), "--origin", ORIGIN]
            works = main(["doctor", *flags])
            side_by_side = capsys.readouterr().out
            fails = main(["doctor", *flags, "--method", "PUT", "--header", "X-Trace"])
            refused = capsys.readouterr().out

    assert works == 0
    assert side_by_side.startswith("side by side\n  straight")
    assert f"{api}/orders: a browser fails: there is no `Access-Control-Allow-Origin`" in " ".join(side_by_side.split())
    assert fails == 1
    assert "`Access-Control-Allow-Headers` does not list `x-trace` (header-refused)" in refused
    assert f"{file}:3:1" in refused


@pytest.mark.parametrize(
    "url", ["api.example.com", "ftp://a.example/", "http://me:pw@a.example/", "http://a.example/ b", "ws://a.example/", "http://[::1/"]
)
def test_what_is_no_url_is_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", url, "--origin", ORIGIN]) == 2
    assert "is no URL of http or https" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "x", "-1"])
def test_a_time_that_is_none_is_said(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "http://localhost:1", "--origin", ORIGIN, f"--timeout={value}"]) == 2
    assert "is no number of seconds" in capsys.readouterr().err


def test_a_file_of_authorities_that_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "https://localhost:1", "--origin", ORIGIN, "--ca-file", str(tmp_path / "none.pem")]) == 2
    assert "`--ca-file`: No such file or directory" in capsys.readouterr().err


def test_a_policy_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text("cors: {}\n")

    assert main(["doctor", "https://localhost:1", "--origin", ORIGIN, "--config", str(tmp_path / "bad.yaml")]) == 2
    assert "is no valid policy file" in capsys.readouterr().err


def test_a_websocket_is_asked_for_by_its_own_scheme(capsys: pytest.CaptureFixture[str]) -> None:
    with served(lambda _: Told(403)) as url:
        code = main(["doctor", url.replace("http", "ws"), "--origin", ORIGIN, "--websocket"])

    assert code == 1
    assert capsys.readouterr().out.startswith("the WebSocket does not open: the handshake gets 403 and not 101 (websocket-refused)")
