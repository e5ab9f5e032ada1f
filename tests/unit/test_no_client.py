"""aiohttp without its client: everything is still found where it was."""

import subprocess
import sys

import pytest


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "program",
    [
        "from aiohttp import web; holds = web is sys.modules['aiohttp.web']",
        "import aiohttp; holds = aiohttp.hdrs.HOST == 'Host'",
        "import aiohttp.web; holds = aiohttp.web.Response.__name__ == 'Response'",
        "import aiohttp, importlib.metadata as metadata; holds = aiohttp.__version__ == metadata.version('aiohttp')",
        "import aiohttp; holds = not hasattr(aiohttp, '__wrapped__')",
    ],
)
def test_the_server_comes_without_the_client(program: str) -> None:
    assert run(f"import sys, corsproxy.gateway._no_client; {program}; print(holds, 'aiohttp.client' in sys.modules)") == "True False"


def test_whoever_asks_for_the_client_gets_it() -> None:
    program = """
import corsproxy.gateway._no_client, aiohttp, sys
from aiohttp import web
from aiohttp import ClientSession
assert ClientSession is aiohttp.ClientSession is sys.modules["aiohttp.client"].ClientSession
assert aiohttp.web is web and not hasattr(aiohttp, "nothing") and aiohttp.connector is sys.modules["aiohttp.connector"]
print(sorted(set(aiohttp.__all__) - set(vars(aiohttp))))
"""
    # These two are found by aiohttp's own `__getattr__`.
    assert run(program) == "['GunicornUVLoopWebWorker', 'GunicornWebWorker']"


def test_a_client_that_is_there_already_stays() -> None:
    assert (
        run("import aiohttp; before = aiohttp.ClientSession; import corsproxy.gateway._no_client; print(aiohttp.ClientSession is before)")
        == "True"
    )


@pytest.mark.parametrize("value", [None, "", "1"])
def test_the_environment_is_left_as_it_was(value: str | None) -> None:
    name = "FROZENLIST_NO_EXTENSIONS"
    given = f"import os; os.environ.pop('{name}', ''); os.environ.update({ {name: value} if value is not None else {} })"
    assert run(f"{given}; import corsproxy.gateway._no_client; print(os.environ.get('{name}'))") == str(value)
