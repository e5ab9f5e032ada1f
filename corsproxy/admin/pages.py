"""The admin's pages for programs: health, readiness, metrics, a reload, what is in force."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from corsproxy.admin.sources import Check, InForce, Readiness, Sources
from corsproxy.changes import ReloadOutcome
from corsproxy.config.effective import effective, to_json, to_yaml
from corsproxy.config.export import to_objects
from corsproxy.config.render import render
from corsproxy.observe.metrics import render as render_metrics
from corsproxy.problems import INTERNAL_ERROR, NOTHING_TO_RELOAD

# Readiness is asked without bound, and gathering it may ask every worker.
_READINESS_LIFETIME_S: Final = 0.02
# A reload reads files, and a file system may hang; workers may be busy.
_PATIENCE_S: Final = 30.0


def routes(sources: Sources, *, is_private: bool) -> list[web.RouteDef]:
    """Return the routes. `is_private`: no other machine can reach the address, so that names of upstreams may show."""
    pages = _Pages(sources, is_private, _Recent(sources.readiness))
    return [
        web.get("/healthz", pages.health),
        web.get("/readyz", pages.readiness),
        web.get("/metrics", pages.metrics),
        web.get("/config", pages.config),
        web.post("/-/reload", pages.reload),
    ]


class _Recent:
    """Asks at most once in a moment: who asks meanwhile gets the same answer."""

    def __init__(self, source: Callable[[], Awaitable[Readiness]]) -> None:
        self._source = source
        self._lock = asyncio.Lock()
        self._answer: Readiness | None = None
        self._until = 0.0

    async def get(self) -> Readiness:
        loop = asyncio.get_running_loop()
        async with self._lock:
            if self._answer is None or loop.time() >= self._until:
                self._answer = await self._source()
                self._until = loop.time() + _READINESS_LIFETIME_S
            return self._answer


@dataclass(frozen=True, slots=True)
class _Pages:
    sources: Sources
    is_private: bool
    readiness_now: _Recent

    async def health(self, _: web.Request) -> web.Response:
        """Say that the process is alive: it answers."""
        return web.Response(text="ok\n")

    async def readiness(self, request: web.Request) -> web.Response:
        """Say whether traffic is welcome; with `?verbose`, why."""
        async with asyncio.timeout(_PATIENCE_S):
            found = await self.readiness_now.get()
        failed = [check.text or check.name for check in found.checks if not check.ok]
        said = f"not ready: {', '.join(failed)}" if failed else "ready"
        if "verbose" in request.query:
            in_force = self.sources.in_force()
            shows_all = self.is_private or in_force.settings.admin.dangerously_expose_admin
            lines = [_line(check, "-") for check in found.checks]
            lines += [_line(each, "!") for each in found.information] if shows_all else []
            said = in_force.loaded.secrets.strike("\n".join([*lines, said]))
        return web.Response(status=200 if found.is_ready else 503, text=f"{said}\n")

    async def metrics(self, request: web.Request) -> web.Response:
        """Write the figures, in the form that is asked for."""
        async with asyncio.timeout(_PATIENCE_S):
            snapshot = await self.sources.metrics()
        body, content_type = render_metrics(snapshot, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def config(self, request: web.Request) -> web.Response:
        """Write what is in force, as `corsproxy config --effective` does: YAML, or JSON with `?format=json`."""
        form = request.query.get("format", "yaml")
        if form not in ("yaml", "json"):
            return web.Response(status=400, text="`format` is `yaml` or `json`\n")
        found = self.sources.in_force()
        if form == "json":
            return _json(_config_object(found))
        return web.Response(text=_config_text(found))

    async def reload(self, _: web.Request) -> web.Response:
        """Load the configuration again, and say what came of it."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                outcome = await self.sources.reload()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return web.Response(status=503, text="the proxy is ending, and nothing is reloaded any more\n")
        file = self.sources.in_force().loaded.source.name
        return _json({"file": file, **_outcome_object(outcome)}, _status_of(outcome))


def _line(check: Check, mark: str) -> str:
    return f"[{'+' if check.ok else mark}] {check.name}" + (f": {check.text}" if check.text else "")


def _json(value: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, text=json.dumps(value, indent=2) + "\n", content_type="application/json")


def _config_text(found: InForce) -> str:
    if found.loaded.root is None:
        return ""
    waiting = "".join(f"# {path}: needs a restart; the value of the start is in force\n" for path in found.needs_restart)
    return waiting + to_yaml(effective(found.loaded.root))


def _config_object(found: InForce) -> dict[str, Any]:
    if found.loaded.root is None:
        return {}
    values = to_json(effective(found.loaded.root))
    for path in found.needs_restart:
        for name, value in values.items():
            if name == path or name.startswith((f"{path}.", f"{path}[")):
                value["needs_restart"] = True
    return values


def _outcome_object(outcome: ReloadOutcome) -> dict[str, Any]:
    return {
        "ok": outcome.ok,
        "changed": outcome.changed,
        "needs_restart": list(outcome.needs_restart),
        "diagnostics": to_objects(outcome.diagnostics),
        # As `check` writes them: the lines of the file are on the machine of the proxy, and maybe nowhere else.
        "report": render(outcome.diagnostics),
    }


def _status_of(outcome: ReloadOutcome) -> int:
    if outcome.ok:
        return 200
    found = {each.problem for each in outcome.diagnostics}
    return 500 if INTERNAL_ERROR in found else 409 if NOTHING_TO_RELOAD in found else 422
