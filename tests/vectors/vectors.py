"""Reads the vectors: YAML on one side, bytes on the other. It knows the escapes and the fields, and nothing of the proxy."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-f]{2})|(.))")
_PLAIN_ESCAPES: Final = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
# An innermost repetition; those around it follow.
_REPEAT: Final = re.compile(r"\\\*\{(\d+)\}\{([^{}]*)\}")


def to_bytes(text: str) -> bytes:
    """Read the escapes of a vector file; its line breaks mean nothing."""
    text = text.replace("\n", "")
    while (repeat := _REPEAT.search(text)) is not None:
        text = text[: repeat.start()] + repeat[2] * int(repeat[1]) + text[repeat.end() :]
    return _ESCAPE.sub(_unescape, text).encode("latin-1")


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _PLAIN_ESCAPES[match[2]]


@dataclass(frozen=True)
class Sees:
    """What one side must see; None stands for "whatever"."""

    starts: list[bytes] | None = None
    lines: list[bytes] = field(default_factory=list)
    lacks: list[bytes] = field(default_factory=list)
    body: bytes | None = None


@dataclass(frozen=True)
class Vector:
    """A case of any of the files; what a file does not say has its default."""

    name: str
    spec: str
    request: bytes
    response: bytes
    then: str
    sees: Sees
    closes: bool
    statuses: list[int] = field(default_factory=list)
    forwarded: int = 0
    problem: str = ""
    reason: str = ""
    tier: str = ""
    cut: bool = False
    interims: bool = False
    reuses: bool = False

    @property
    def status_is_ours(self) -> bool:
        """Whether the proxy answers for itself."""
        return bool(self.problem) and not self.cut


_KEYS: Final = {"name", "spec", "request", "response", "then", "expected", "upstream_sees", "client_sees"}
_PLAIN_GET: Final = "GET / HTTP/1.1\\r\\nHost: proxy.test\\r\\n\\r\\n"


def load(name: str) -> list[Vector]:
    """Read a file of vectors."""
    entries = yaml.safe_load((Path(__file__).parent / name).read_text("utf-8"))
    return [_vector(entry) for entry in entries]


def _vector(entry: dict[str, Any]) -> Vector:
    assert set(entry) <= _KEYS, entry
    expected = dict(entry["expected"])
    status = expected.pop("status", [])
    seen = entry.get("upstream_sees") or entry.get("client_sees") or {}
    return Vector(
        name=entry["name"],
        spec=entry["spec"],
        request=to_bytes(entry.get("request", _PLAIN_GET)),
        response=to_bytes(entry.get("response", "")),
        then=entry.get("then", ""),
        sees=_sees(**seen),
        statuses=status if isinstance(status, list) else [status],
        **expected,
    )


def _sees(
    starts: list[str] | None = None,
    start: str | None = None,
    lines: list[str] | None = None,
    lacks: list[str] | None = None,
    body: str | None = None,
) -> Sees:
    every = [start] if start is not None else starts
    return Sees(
        None if every is None else [to_bytes(one) for one in every],
        [to_bytes(line) for line in lines or []],
        [to_bytes(name) for name in lacks or []],
        None if body is None else to_bytes(body),
    )
