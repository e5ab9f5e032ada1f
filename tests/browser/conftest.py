"""A real Chromium, and the demo as a user starts it."""

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
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# Without these Chromium calls its maker's hosts, which a test machine may not reach.
QUIET = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI must test with a real browser, and there is no Chromium")
        pytest.skip("NOT TESTED: what a real browser accepts. Install Chromium to test it (Debian: apt-get install chromium)")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, *sandbox])
        yield browser
        browser.close()


@dataclass(frozen=True)
class Demo:
    """The addresses of a running demo."""

    page: str
    proxy: str
    api: str


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
    found = dict(re.findall(r"^\s+(page|proxy|API)\s+(https?://\S+)", banner, re.MULTILINE))
    assert found, banner + process.stderr.read()
    # Log lines would fill the pipe.
    drain = threading.Thread(target=process.stdout.read)
    drain.start()
    yield Demo(found["page"], found["proxy"], found["API"])
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
