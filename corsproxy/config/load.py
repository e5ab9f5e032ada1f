"""
From a file, a text or flags to settings.

It knows which source wins (flags and variables over the file) and the bounds of a file; it reads no environment:
the caller passes it. `${…}` is for the file alone: a flag or a variable that sets a key is taken as it is, because the shell
that sets it has variables of its own.
"""

from collections.abc import Mapping as Given
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from corsproxy import problems
from corsproxy.config import nodes
from corsproxy.config.decode import decode
from corsproxy.config.diagnostics import Diagnostic, Report, Secrets, Source, Span, diagnostic
from corsproxy.config.interpolate import interpolate
from corsproxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from corsproxy.config.schema import SINGLE_KEYS, UPSTREAM, Kind
from corsproxy.config.settings import Settings

# Precedent: a ConfigMap of Kubernetes holds 1 MiB at most.
MAX_FILE_BYTES: Final = 1024 * 1024

_LISTS: Final = (
    Kind.ADDRESSES,
    Kind.HOSTS,
    Kind.ORIGIN_URLS,
    Kind.ORIGINS,
    Kind.SOCKET_ORIGINS,
    Kind.NAMES,
    Kind.NETWORKS,
    Kind.FIELD_NAMES,
)
_BYTE_ORDER_MARK: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Override:
    """
    A value that wins over the file.

    `source` is what diagnostics call it: "flag --listen", "environment variable CORSPROXY_LISTEN". Keys that take
    a list take several values with commas between them.
    """

    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    What came of loading: settings exactly if there is no error among the diagnostics, which are in order.

    `root` is the tree that the settings were read from, flags, variables and secrets put into it; None if there is none.
    `files` are the absolute paths of everything that was read, or would have been, or will be: the file, and those
    of its secrets and of TLS. `places` says by key and name which line names a file of TLS. `secrets` are those of the file:
    whatever is said of the settings must be struck clean of them. `flags` are those by which a command line names the same source.
    """

    # They may hold secrets.
    settings: Settings | None = field(repr=False)
    diagnostics: tuple[Diagnostic, ...]
    source: Source
    root: Node | None = field(default=None, repr=False)
    files: tuple[str, ...] = field(default=(), repr=False)
    places: Given[tuple[str, str], Span] = field(default_factory=dict, repr=False)
    secrets: Secrets = field(default_factory=Secrets)
    flags: tuple[str, ...] = ()


def load_file(path: str | Path, overrides: Given[str, Override] | None = None, environ: Given[str, str] | None = None) -> Loaded:
    """
    Load a file. Never raises: a file that cannot be read is a diagnostic too.

    `overrides` are by key path, one of `schema.SINGLE_KEYS`: `cors.allow_origins`. `environ` is what `${NAME}` is looked up in.
    """
    loaded = _load_file(path, overrides, environ)
    return replace(loaded, files=(str(Path(path).absolute()), *loaded.files))


def _load_file(path: str | Path, overrides: Given[str, Override] | None, environ: Given[str, str] | None) -> Loaded:
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror or "") if isinstance(error, OSError) else "its name holds a null byte"
        return _failed(
            diagnostic(problems.FILE_UNREADABLE, None, f"`{name}` cannot be read: {reason.lower()}", "check the path", file=name)
        )
    return load_text(content, name, overrides, environ)


def load_text(
    text: str | bytes, name: str, overrides: Given[str, Override] | None = None, environ: Given[str, str] | None = None
) -> Loaded:
    """Load a file's content; `name` is what diagnostics call the file. Never raises."""
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(content) > MAX_FILE_BYTES:
        message = f"the file is larger than {MAX_FILE_BYTES // 1024} KiB"
        return _failed(diagnostic(problems.TOO_LARGE, None, message, "check that it is the right file", file=name))
    try:
        decoded = content.decode().removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        return _failed(_not_utf8(content, error, name))
    source = Source(name, nodes.split_lines(decoded))
    report = Report(source)
    try:
        root = nodes.read_nodes(decoded, source, report)
    except nodes.Unreadable as unreadable:
        return Loaded(None, (unreadable.diagnostic,), source)
    # What a flag replaces needs no variable: so the references that are left are looked at afterwards.
    root, files = interpolate(_with_overrides(root, overrides or {}, report), environ or {}, report)
    return _finish(root, report, files)


def load_flags(
    upstream: str | None = None,
    allow_origins: Many[str] = (),
    allow_credentials: bool = False,  # noqa: FBT001, FBT002 - it is the flag's value
    listen: Many[str] = (),
    overrides: Given[str, Override] | None = None,
) -> Loaded:
    """
    Load a proxy without a file, from flags and, below them, overrides. Never raises.

    What diagnostics point at are the flags.
    """
    report = Report(Source("command line", is_file=False))
    root: Node = Mapping(Source("command line", is_file=False).span(1, 1), {})
    overrides = overrides or {}
    if upstream is None and "upstream.url" not in overrides:
        report.add(problems.COMMAND_LINE, None, "no upstream is named", "add `--upstream http://localhost:9000`, or `--config FILE`")
    if not allow_origins and "cors.allow_origins" not in overrides:
        report.add(problems.COMMAND_LINE, None, "no origin is allowed", "add `--allow-origin https://app.example.com`, or `--config FILE`")
    if report.has_errors:
        return Loaded(None, report.in_order(), report.source)
    flags = {
        "upstream.url": ("--upstream", [upstream] if upstream is not None else []),
        "cors.allow_origins": ("--allow-origin", allow_origins),
    }
    flags["listen"] = ("--listen", listen)
    flags["cors.allow_credentials"] = ("--allow-credentials", ["true"] if allow_credentials else [])
    root = _with_overrides(root, overrides, report)
    for path, (flag, values) in flags.items():
        made = [_override_node(path, Override(value, f"flag {flag}"), report) for value in values]
        items = [item for node in made if node is not None for item in (node.items if isinstance(node, Sequence) else (node,))]
        if items:
            node = Sequence(items[0].span, tuple(items)) if SINGLE_KEYS[path].kind in _LISTS else items[0]
            root = _graft(root, path.split("."), node)
    return _finish(root, report)


def _failed(found: Diagnostic) -> Loaded:
    return Loaded(None, (found,), Source(found.file))


def _finish(root: Node, report: Report, files: tuple[str, ...] = ()) -> Loaded:
    settings = decode(root, report)
    named = (str(Path(name).absolute()) for _, name in report.places)
    files = tuple(dict.fromkeys((*files, *named)))
    return Loaded(None if report.has_errors else settings, report.in_order(), report.source, root, files, report.places, report.secrets)


def _not_utf8(content: bytes, error: UnicodeDecodeError, name: str) -> Diagnostic:
    source = Source(name, nodes.split_lines(content.decode("utf-8", "replace")))
    before = nodes.split_lines(content[: error.start].decode())
    line, column = len(before), len(before[-1]) + 1
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    what = "the file is UTF-16, not UTF-8" if is_utf16 else f"the byte 0x{content[error.start]:02x} is not UTF-8"
    return diagnostic(problems.NOT_YAML, Span(source, line, column, line, column + 1), what, "save the file as UTF-8")


def _with_overrides(root: Node, overrides: Given[str, Override], report: Report) -> Node:
    for path, override in overrides.items():
        node = _override_node(path, override, report)
        if node is not None:
            root = _graft(root, path.split("."), node)
    return root


def _override_node(path: str, override: Override, report: Report) -> Node | None:
    value = override.value
    if not value.isprintable():
        source = Source(override.source, (value,), is_file=False)
        report.add(problems.WRONG_TYPE, source.span(1, len(value) + 1), f"`{path}` holds a character that cannot be shown", "take it out")
        return None
    source = Source(override.source, (value,), is_file=False)
    if SINGLE_KEYS[path].kind not in _LISTS:
        return nodes.plain_scalar(value, source.span(1, len(value) + 1))
    items: list[Node] = []
    at = 0
    for part in value.split(","):
        text = part.strip()
        start = at + len(part) - len(part.lstrip()) + 1
        items.append(nodes.plain_scalar(text, source.span(start, start + len(text))))
        at += len(part) + 1
    return Sequence(source.span(1, len(value) + 1), tuple(items))


def _graft(root: Node, path: list[str], node: Node) -> Node:
    """Return the tree with one value replaced; what stood in its way (a word for `cors`) gives way."""
    if not path:
        return node
    entries = dict(root.entries) if isinstance(root, Mapping) else {}
    old = entries.get(path[0])
    key = old.key if old is not None else Scalar(node.span, path[0], path[0])
    below = old.value if old is not None else Mapping(node.span, {})
    if path[0] == UPSTREAM and isinstance(below, Scalar) and not below.is_null:
        # A URL for `upstream` is short for a mapping with it, which another key can join.
        below = Mapping(below.span, {"url": Entry(Scalar(below.span, "url", "url"), below)})
    entries[path[0]] = Entry(key, _graft(below, path[1:], node))
    return Mapping(root.span, entries)
