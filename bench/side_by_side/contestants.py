"""The proxies that are compared: how each is started with the same CORS work, and where its program is found."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ORIGIN: Final = "https://app.example.com"


@dataclass(frozen=True)
class Bench:
    """Where everything lies: a directory for files of this run, one for programs that were fetched, and the port of the API."""

    place: Path
    programs: Path
    upstream: int

    def write(self, name: str, port: int = 0, extra: str = "", **others: str) -> Path:
        """Write a file of `conf` with its marks filled in; JavaScript goes beside the modules that it needs."""
        text = (HERE / "conf" / name).read_text() + extra
        marks = {**others, "DIR": self.place, "PORT": port, "UPSTREAM": self.upstream, "ORIGIN": ORIGIN}
        for mark, value in marks.items():
            text = text.replace(f"@{mark}@", str(value))
        where = (self.programs / "node" if name.endswith(".js") else self.place) / name
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)
        return where


Command = list[str | Path]


@dataclass(frozen=True)
class Contestant:
    """One proxy: its program, and how it is started on a port. `prefix` stands before the path of each request."""

    program: str
    command: Callable[[Bench, Path, int], Command]
    prefix: str = ""


def find(contestant: Contestant, bench: Bench) -> Path | None:
    """Return the program: of the system, or one that tools/ensure-bench has fetched."""
    places = [bench.programs / "venv" / "bin", Path("/usr/sbin"), Path(sys.executable).parent]
    search = os.pathsep.join([*map(str, places), os.environ.get("PATH", "")])
    found = shutil.which(contestant.program, path=search)
    return Path(found) if found else None


def _nginx(log: str) -> Callable[[Bench, Path, int], Command]:
    return lambda bench, program, port: [program, "-e", bench.place / "nginx.err", "-c", bench.write("nginx.conf", port, LOG=log)]


def _corsproxy(extra: str) -> Callable[[Bench, Path, int], Command]:
    def command(bench: Bench, program: Path, port: int) -> Command:
        return [program, "--config", bench.write("corsproxy.yaml", port, extra)]

    return command


def _traefik(bench: Bench, program: Path, port: int) -> Command:
    bench.write("traefik-routes.yaml")
    return [program, f"--configFile={bench.write('traefik.yaml', port)}"]


def _node(script: str) -> Callable[[Bench, Path, int], Command]:
    return lambda bench, program, port: [program, bench.write(script, port)]


CONTESTANTS: Final = {
    "nginx": Contestant("nginx", _nginx("off")),
    "nginx-log": Contestant("nginx", _nginx("@DIR@/access.log json buffer=64k flush=1s")),
    "haproxy": Contestant("haproxy", lambda b, program, port: [program, "-db", "-f", b.write("haproxy.cfg", port)]),
    "envoy": Contestant(
        "envoy",
        lambda b, program, port: [program, "-c", b.write("envoy.yaml", port), "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
    ),
    "traefik": Contestant("traefik", _traefik),
    "caddy": Contestant(
        "caddy", lambda b, program, port: [program, "run", "--config", b.write("Caddyfile", port), "--adapter", "caddyfile"]
    ),
    "http-proxy": Contestant("node", _node("http-proxy.js")),
    "cors-anywhere": Contestant("node", _node("cors-anywhere.js"), prefix="/http://127.0.0.1:@UPSTREAM@"),
    "corsproxy": Contestant("corsproxy", _corsproxy("log: {access: false}\n")),
    "corsproxy-log": Contestant("corsproxy", _corsproxy("log: {format: json}\n")),
    "corsproxy-aiohttp": Contestant("corsproxy", _corsproxy("log: {access: false}\nexpress: false\n")),
}
