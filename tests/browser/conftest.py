"""A real Chromium, and the demo as a user starts it."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from corsproxy.cli.dev_cert import certify
from corsproxy.cli.local_ca import Issued
from tests.browser.sites import HOSTS

NAMES = ("chromium", "chromium-browser", "google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# Without these Chromium calls its maker's hosts, which a test machine may not reach.
QUIET = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FETCH = """async ([url, init]) => {
    try {
        const answer = await fetch(url, init);
        return {
            status: answer.status,
            type: answer.type,
            body: (await answer.text()).slice(0, 2000),
            headers: Object.fromEntries([...answer.headers]),
        };
    } catch (error) {
        return {error: String(error)};
    }
}"""


def find_chromium() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    """What `corsproxy dev-cert` makes, for the sites of these tests. No trust store is changed: `chromium` is told of its key alone."""
    _, issued = certify(tmp_path_factory.mktemp("dev-cert"), HOSTS)
    return issued


@pytest.fixture(scope="session")
def chromium(certificate: Issued) -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI must test with a real browser, and there is no Chromium")
        pytest.skip("NOT TESTED: what a real browser accepts. Install Chromium to test it (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags(certificate))
        yield browser
        browser.close()


def flags(certificate: Issued) -> list[str]:
    # Names below `.test` have no DNS, anywhere; `localhost` and what is below it Chromium takes for loopback by itself.
    sites = ["--host-resolver-rules=MAP *.test 127.0.0.1", f"--ignore-certificate-errors-spki-list={key_hash(certificate)}"]
    return [*QUIET, *sites, *([] if os.geteuid() else ["--no-sandbox"])]


class ThirdPartyCookies(Enum):
    """The setting of that name, as the preference `profile.cookie_controls_mode` has it."""

    ALLOWED = 0
    BLOCKED = 1


@contextmanager
def profile(chromium: Browser, certificate: Issued, directory: Path, cookies: ThirdPartyCookies) -> Iterator[BrowserContext]:
    """
    Open a profile of its own, with its setting for third-party cookies.

    No flag allows them where the build blocks them by default, as Debian's does also outside of incognito, and which builds
    block them changes with the years; the preference is what a visitor would click.
    """
    preferences = directory / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True)
    preferences.write_text(json.dumps({"profile": {"cookie_controls_mode": cookies.value}}))
    context = chromium.browser_type.launch_persistent_context(directory, executable_path=find_chromium(), args=flags(certificate))
    try:
        yield context
    finally:
        context.close()


def key_hash(issued: Issued) -> str:
    """Name a certificate's key as browsers pin it: the digest of its SubjectPublicKeyInfo."""
    key = x509.load_pem_x509_certificate(issued.cert_file.read_bytes()).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return base64.b64encode(digest.finalize()).decode()


@dataclass(frozen=True)
class Demo:
    """The addresses of a running demo."""

    page: str
    proxy: str
    api: str
    inspector: str


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`corsproxy demo`, in an empty directory and a clean environment."""
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture(scope="session")
def secure_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The same by https."""
    with running_demo(tmp_path_factory.mktemp("demo"), "--tls") as demo:
        yield demo


@contextmanager
def running_demo(directory: Path, *flags: str) -> Iterator[Demo]:
    process = subprocess.Popen(
        [sys.executable, "-m", "corsproxy", "demo", "--port", "0", *flags],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    banner = ""
    for line in process.stdout:
        banner += line
        if "Ctrl-C" in line:
            break
    found = dict(re.findall(r"^\s+(page|proxy|API|inspector)\s+(https?://\S+)", banner, re.MULTILINE))
    assert found, banner + process.stderr.read()
    # Log lines would fill the pipe.
    drain = threading.Thread(target=process.stdout.read)
    drain.start()
    yield Demo(found["page"], found["proxy"], found["API"], found["inspector"])
    process.send_signal(signal.SIGINT)
    with process.stdout, process.stderr:
        drain.join(10)
        assert process.stderr.read() == ""
    assert process.wait(10) == 0


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh profile: no cookies, no preflight cache."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()
