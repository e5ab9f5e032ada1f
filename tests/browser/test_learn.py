"""
The policy that `corsproxy learn` writes while Chromium drives the demo's page: the page works by it, and without any line of it a call breaks.

All of it with the live page: a line is taken out, the proxy gets the file without it, and Chromium makes the page's calls again.
"""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from playwright.sync_api import Browser

from corsproxy.cli.demo_api import RequestLog, legacy_api
from corsproxy.cli.demo_page import HEADERS, PLACES, demo_page, security_headers
from corsproxy.cli.main import main
from corsproxy.config.load import load_text
from tests.browser.front import Front
from tests.browser.sites import Servers
from tests.cli.test_learn import learning

pytestmark = pytest.mark.browser

# Makes each call of the page once: null where the script got no answer that holds, else the names that it could read.
CALLS = """async (base) => {
    const {groupsAt} = await import("/calls.js");
    const found = {};
    for (const call of groupsAt({}).flatMap((group) => group.calls)) {
        try {
            const answer = await call.run(base);
            if (answer instanceof EventSource) {
                await new Promise((resolve, reject) => { answer.onopen = resolve; answer.onerror = reject; }).finally(() => answer.close());
                found[call.id] = [];
            } else {
                const seen = call.read ? await call.read(answer) : await answer.text();
                found[call.id] = call.check?.(seen) ? null : [...answer.headers.keys()];
            }
        } catch {
            found[call.id] = null;
        }
    }
    return found;
}"""
Calls = dict[str, list[str] | None]


@dataclass(frozen=True)
class Learned:
    """The file, and the page from whose calls it was learned."""

    text: str
    page: str
    site: web.Application

    def lead_to(self, proxy: str) -> None:
        """Let the page call another proxy. It stays where it is, for the file names its origin."""
        places = self.site[PLACES]
        places["proxy_url"] = proxy
        self.site[HEADERS].update(security_headers(proxy, places["api_url"]))


@pytest.fixture(scope="module")
def learned(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Learned]:
    log = RequestLog()
    with Servers() as servers:
        api = f"http://localhost:{servers.start(legacy_api(log))}"
        directory = tmp_path_factory.mktemp("learn")
        with learning("--upstream", api, "--output", "learned.yaml", cwd=directory) as (process, port):
            site = demo_page(proxy_url=f"http://localhost:{port}", api_url=api, allowed_origin="", log=log)
            page = f"http://localhost:{servers.start(site)}"
            verdicts = run_page(chromium, page)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
            assert process.returncode == 0
        # All that the page does passes, also what the demo's own policy refuses.
        assert set(verdicts.values()) == {"readable"}
        yield Learned((directory / "learned.yaml").read_text(), page, site)


def run_page(chromium: Browser, url: str) -> dict[str, str | None]:
    """Let the page make all its calls, and return what each came to through the proxy."""
    # Playwright must not look into requests here: where it does, it answers preflights itself.
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("body[data-state=done]", timeout=60_000)
        rows = page.query_selector_all("tr[data-call]")
        assert len(rows) >= 13
        cells = {row.get_attribute("data-call") or "": row.query_selector("[data-proxied]") for row in rows}
        return {name: cell.get_attribute("data-proxied") if cell is not None else None for name, cell in cells.items()}
    finally:
        context.close()


def make_calls(chromium: Browser, url: str, proxy: str) -> Calls:
    """Make the page's calls from its origin, in a profile that remembers no preflight and no cookie."""
    context = chromium.new_context()
    try:
        page = context.new_page()
        # A document of that origin that makes no calls by itself.
        page.goto(f"{url}/demo.css")
        found: Calls = page.evaluate(CALLS, proxy)
        return found
    finally:
        context.close()


def test_the_page_works_by_the_file_and_it_passes_strictly(learned: Learned, chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "learned.yaml"
    file.write_text(learned.text)

    assert main(["check", "--strict", str(file)]) == 0
    with Front(f"{learned.text}listen: 127.0.0.1:0\n") as front:
        learned.lead_to(f"http://localhost:{front.port}")
        assert set(run_page(chromium, learned.page).values()) == {"readable"}
        # Whom it did not see it lets in no more than any other policy.
        verdicts = run_page(chromium, learned.page.replace("localhost", "127.0.0.1"))
        assert set(verdicts.values()) == {"blocked"}


def test_without_any_line_of_it_a_call_breaks(learned: Learned, chromium: Browser) -> None:
    lines = learned.text.splitlines()
    grants = [place for place, line in enumerate(lines) if re.match(r"    - |  [a-z_]+: ", line)]
    names = [lines[place].strip().removeprefix("- ").partition(" ")[0].strip('"') for place in grants]
    assert {"PUT", "DELETE", "content-type", "x-request-source", "X-Total-Count", "allow_credentials:"} <= set(names)

    with Front(f"{learned.text}listen: 127.0.0.1:0\n") as front:
        proxy = f"http://localhost:{front.port}"
        learned.lead_to(proxy)
        whole = make_calls(chromium, learned.page, proxy)
        assert len(whole) >= 13
        assert None not in whole.values()
        for place, name in zip(grants, names, strict=True):
            text = "\n".join([*lines[:place], *lines[place + 1 :], f"listen: 127.0.0.1:{front.port}\n"])
            if load_text(text, "f").settings is None:
                # No proxy starts by it: a policy without origins is none.
                assert name == learned.page
                continue
            front.change(text)
            found = make_calls(chromium, learned.page, proxy)
            broken = [call for call in whole if found[call] is None]
            lost = {each for call, read in whole.items() for each in set(read or ()) - set(found[call] or ()) if call not in broken}
            assert broken or lost == {name.lower()}, f"nothing needs `{lines[place].strip()}`"
