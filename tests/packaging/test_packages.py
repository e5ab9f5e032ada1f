"""Wheel and sdist: made the same twice, whole, and enough by themselves to run the demo in an empty environment."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from corsproxy import __version__

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# What a build reads, and no more.
PARTS = ("corsproxy", "pyproject.toml", "README.md", "LICENSE")

pytestmark = pytest.mark.timeout(300)


def environment(home: Path) -> dict[str, str]:
    """Nothing of ours: no virtual environment, no variable of the proxy's."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_")) or name == "LANG"}
    return {
        **kept,
        "HOME": str(home),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PIPX_HOME": str(home / "pipx"),
        "UV_CACHE_DIR": str(home / "uv"),
    }


def build(place: Path) -> Path:
    """Build from a copy whose files are as old as this moment; returns the folder of what was made."""
    source = place / "source"
    source.mkdir(parents=True)
    for part in PARTS:
        origin = ROOT / part
        if origin.is_dir():
            shutil.copytree(origin, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(origin, source / part)
    subprocess.run(
        [BIN / "python", "-m", "hatchling", "build", "-d", place / "dist"], cwd=source, check=True, capture_output=True, timeout=120
    )
    return place / "dist"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


def test_two_builds_are_the_same_to_the_byte(dist: Path, tmp_path: Path) -> None:
    again = build(tmp_path)

    assert {file.name: file.read_bytes() for file in dist.iterdir()} == {file.name: file.read_bytes() for file in again.iterdir()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    sources = {
        str(file.relative_to(ROOT)) for file in (ROOT / "corsproxy").rglob("*") if file.is_file() and "__pycache__" not in file.parts
    }

    assert {name for name in names if not name.startswith(f"corsproxy-{__version__}.dist-info/")} == sources
    assert f"corsproxy-{__version__}.dist-info/licenses/LICENSE" in names


def test_the_sdist_can_be_built_from(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = opened.getnames()

    assert {f"corsproxy-{__version__}/{part}" for part in ("pyproject.toml", "README.md", "LICENSE", "corsproxy/cli/main.py")} <= set(names)


def serves_the_demo(command: list[str | Path], home: Path) -> None:
    """Start `corsproxy demo`, ask the API through the proxy, and stop it."""
    said = home / "said"
    with said.open("w") as out:
        demo = subprocess.Popen([*command, "demo"], stdout=out, stderr=subprocess.STDOUT, env=environment(home), start_new_session=True)
    try:
        page = ""
        for _ in range(600):
            assert demo.poll() is None, said.read_text()
            if found := re.search(r"http://localhost:\d+", said.read_text()):
                page = found[0]
                break
            with pytest.raises(subprocess.TimeoutExpired):
                demo.wait(0.1)
        with urllib.request.urlopen(page, timeout=10) as answer:
            assert answer.status == 200
            assert b"corsproxy" in answer.read()
    finally:
        demo.terminate()
        demo.wait(20)


def test_an_empty_environment_needs_what_is_pinned_and_nothing_more(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    pip: list[str | Path] = [place / "bin" / "python", "-m", "pip", "install", "-q"]
    variables = environment(tmp_path)
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements" / "run.txt"], check=True, env=variables, timeout=240)
    # Everything that it needs is there already: the index is not asked.
    subprocess.run([*pip, "--no-index", wheel], check=True, env=variables, timeout=120)
    program = place / "bin" / "corsproxy"

    assert subprocess.run([program, "version"], check=True, capture_output=True, text=True, env=variables).stdout.startswith(
        f"corsproxy {__version__}"
    )
    serves_the_demo([program], tmp_path)


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is pinned, fetched by pip, which knows the machine's index and authorities: the other tools need neither then."""
    place = tmp_path_factory.mktemp("pinned")
    fetch: list[str | Path] = [
        BIN / "python",
        "-m",
        "pip",
        "download",
        "-q",
        "--require-hashes",
        "-r",
        ROOT / "requirements" / "run.txt",
        "-d",
        place,
    ]
    subprocess.run(fetch, check=True, capture_output=True, timeout=240)
    return place


@pytest.mark.parametrize("tool", ["pipx", "uvx"])
def test_it_runs_without_being_installed(tool: str, wheel: Path, pinned: Path, tmp_path: Path) -> None:
    offline = f"--no-index --find-links={pinned}"
    spec = ["run", f"--pip-args={offline}", "--spec"] if tool == "pipx" else [*offline.split(), "--from"]
    done = subprocess.run(
        [BIN / tool, *spec, wheel, "corsproxy", "version"],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"corsproxy {__version__}")


def test_the_list_of_third_parties_is_true() -> None:
    done = subprocess.run([BIN / "python", ROOT / "tools" / "third-party", "--check"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
