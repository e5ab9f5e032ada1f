"""https from the command line: what the start says, and what it does about files that cannot be used."""

import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.certificates import Authority, Pair
from tests.cli.test_run import corsproxy, environment

POLICY = "listen: 127.0.0.1:0\nupstream: http://127.0.0.1:9\ncors: {{allow_origins: [https://app.example.com]}}\ntls:\n  cert_file: {}\n  key_file: {}\n"


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost")


def write(directory: Path, cert_file: str, key_file: str) -> str:
    file = directory / "corsproxy.yaml"
    file.write_text(POLICY.format(cert_file, key_file))
    return file.name


def test_it_serves_https_and_says_so(tmp_path: Path, pair: Pair, authority: Authority) -> None:
    command = [sys.executable, "-m", "corsproxy", "--config", write(tmp_path, pair.cert_file, pair.key_file)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        try:
            found = re.search(r"listening on https://127\.0\.0\.1:(\d+)", process.stderr.readline())
            assert found is not None
            context = ssl.create_default_context(cafile=authority.ca_file)
            with closing(http.client.HTTPSConnection("localhost", int(found[1]), timeout=10, context=context)) as connection:
                connection.request("OPTIONS", "/", headers={"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"})
                assert connection.getresponse().status == 204
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "error[CP132]: `none.pem` cannot be read: no such file or directory\n --> corsproxy.yaml:5:14\n"),
        ("mismatch", "error[CP134]: the key in `"),
    ],
)
def test_files_that_cannot_be_used_end_the_start(tmp_path: Path, pair: Pair, authority: Authority, fault: str, message: str) -> None:
    key = authority.issue("localhost").key_file if fault == "mismatch" else pair.key_file
    said = corsproxy("--config", write(tmp_path, "none.pem" if fault == "missing" else pair.cert_file, key), cwd=tmp_path)

    assert said.returncode == 78
    assert said.stderr.startswith(message)


def test_a_certificate_that_has_expired_is_a_warning_at_the_start(tmp_path: Path, authority: Authority) -> None:
    old = authority.issue("localhost", days=-1, since=9)
    # A second address that is taken ends the start after the warning.
    text = POLICY.format(old.cert_file, old.key_file).replace("127.0.0.1:0", "203.0.113.1:1")
    (tmp_path / "corsproxy.yaml").write_text(text)
    said = corsproxy(cwd=tmp_path)

    assert said.returncode == 3
    event = json.loads(said.stderr.splitlines()[0])
    assert (event["log.level"], event["message"]) == ("warning", "the configuration is in force, with 2 warnings")
    (found,) = (each for each in event["corsproxy.diagnostics"] if each["code"] == "CP258")
    assert "has expired at 20" in found["message"]
