"""What a proxy that serves has loaded, and what it has not: each module is memory that every proxy holds."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.cli.test_run import environment as process_environment

# Runs the command line, asks the proxy once it is ready, ends it, and names what was imported by then.
SCRIPT = """
import os, signal, socket, sys, threading
import corsproxy.systemd as systemd
from corsproxy.cli.main import main

def ask():
    for head in (b"OPTIONS / HTTP/1.1\\r\\nHost: a\\r\\nOrigin: https://a.example\\r\\nAccess-Control-Request-Method: PUT\\r\\n\\r\\n",
                 b"GET / HTTP/1.1\\r\\nHost: a\\r\\nOrigin: https://a.example\\r\\nCookie: a=b\\r\\n\\r\\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("proxy.sock")
            client.sendall(head)
            print(client.recv(65536).split()[1].decode())
    loaded.extend(sys.modules)
    os.kill(os.getpid(), signal.SIGINT)

loaded = []
systemd.notify = lambda state: threading.Thread(target=ask).start() if state == systemd.READY else None
main(["--config", "policy.yaml"])
print(*loaded)
"""
POLICY = """\
hosts: [a]
upstream: http://127.0.0.1:1
admin: {listen: "127.0.0.1:0"}
log: {access: false}
cors: {allow_origins: [https://a.example], allow_methods: [PUT], allow_credentials: true}
"""
# What only some proxies need, or somebody who asks the admin, or a mistake in a file.
UNUSED = {
    "aiohttp.client",
    "aiohttp.connector",
    "corsproxy.cors.browser",
    "corsproxy.explanation.explain",
    "corsproxy.observe.inspection",
    "corsproxy.policy_tests",
    "corsproxy.processes.workers",
    "corsproxy.reasons",
    "corsproxy.rehearse",
    "decimal",
    "difflib",
    "frozenlist._frozenlist",
    "importlib.metadata",
    "opentelemetry",
    "pickle",
    "prometheus_client",
    "publicsuffixlist",
    "zipfile",
}


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    # pytest's own paths are too long for sockets on macOS.
    with tempfile.TemporaryDirectory() as place:
        Path(place, "policy.yaml").write_text(f"listen: unix:{place}/proxy.sock\n{POLICY}")
        return load(place)


def load(place: str) -> set[str]:
    program = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(program, cwd=place, env=process_environment(), capture_output=True, text=True, timeout=30, check=True)
    *statuses, modules = done.stdout.splitlines()
    assert statuses == ["204", "502"], done.stderr
    return set(modules.split())


def test_a_proxy_that_serves_has_what_it_needs_only(loaded: set[str]) -> None:
    assert {"corsproxy.gateway.express", "corsproxy.admin.pages", "aiohttp.web"} <= loaded
    assert UNUSED & loaded == set()
