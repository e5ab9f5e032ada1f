"""
`${…}` in values: variables of the environment, and files that hold secrets.

It knows the three forms, which values are secrets, and how a secret's file is read. It runs on the tree, behind YAML's grammar, so
no value can add structure to the file. It reads no environment: the caller passes one.
"""

import os
import re
import stat
from collections.abc import Iterator
from collections.abc import Mapping as Given
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from corsproxy import problems
from corsproxy.config.diagnostics import Interpolation, Report, Span
from corsproxy.config.key import EXTENSION_PREFIX
from corsproxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence, plain_scalar
from corsproxy.problems import Fault

# Precedent: nginx takes request heads of 32 KiB, and no secret is longer than what can be sent.
MAX_VALUE: Final = 64 * 1024

_OPEN: Final = re.compile(r"\$?\$\{")
_ESCAPED: Final = "$${"
_NAME: Final = "[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE: Final = re.compile(rf"({_NAME})(?::-(.*))?", re.DOTALL)
# Other programs' ways to refer to a variable: `env:X` and `env.X`; the shell's operators, and Spring's `X:default`.
_PREFIXED: Final = re.compile(rf"env[:.]({_NAME})", re.IGNORECASE)
_OPERATOR: Final = re.compile(rf"({_NAME})(:?[-=?+]|:)(.*)", re.DOTALL)
_FILE: Final = "file:"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# Whatever holds header rules, misspelt or not: `headers`, `Header`, `request_headers`.
_HEADERS: Final = "header"
_ESCAPE_HELP: Final = "for a plain `${`, write `$${`"


@dataclass(frozen=True, slots=True)
class _Reference:
    """One `${…}`: to a variable, with a default or without, to a file, or to nothing, for which `fault` says why."""

    written: str
    name: str = ""
    default: str | None = None
    path: str = ""
    fault: Fault | None = None


def interpolate(root: Node, environ: Given[str, str], report: Report) -> tuple[Node, tuple[str, ...]]:
    """
    Replace the references in every value of the file; returns the tree, and the files that it reads or would read.

    Never raises: what cannot be had is reported, and its value left as it is written. Keys, top-level keys that begin with `x-`, and
    values that did not come from the file (flags, variables that set a key) stay as they are. A secret is what came from a file,
    and what came from a variable that a header rule uses, wherever else that one is used.
    """
    work = _Interpolator(environ, report, frozenset(_names_in_headers(root)))
    if isinstance(root, Mapping):
        entries = {
            name: entry if name.startswith(EXTENSION_PREFIX) else Entry(entry.key, work.node(entry.value))
            for name, entry in root.entries.items()
        }
        return Mapping(root.span, entries), tuple(work.files)
    return work.node(root), tuple(work.files)


def _names_in_headers(root: Node) -> Iterator[str]:
    """Yield the variables that header rules use, at the top level and in routes."""
    if not isinstance(root, Mapping):
        return
    lists = [entry.value for entry in root.entries.values() if isinstance(entry.value, Sequence)]
    for place in (root, *(item for each in lists for item in each.items)):
        for key, entry in place.entries.items() if isinstance(place, Mapping) else ():
            if _HEADERS in key.lower():
                yield from _names(entry.value)


def _names(node: Node) -> Iterator[str]:
    match node:
        case Scalar():
            yield from (part.name for part in _parts(node.text) if isinstance(part, _Reference) and part.name)
        case Sequence():
            for item in node.items:
                yield from _names(item)
        case Mapping():
            for entry in node.entries.values():
                yield from _names(entry.value)


class _Interpolator:
    """Walks over one tree. Each file is read once, and a value that aliases repeat is replaced once."""

    def __init__(self, environ: Given[str, str], report: Report, secret_names: frozenset[str]) -> None:
        self.environ = environ
        self.report = report
        self.secret_names = secret_names
        self.files: dict[str, str | Fault] = {}
        self._done: dict[int, Scalar] = {}

    def node(self, node: Node) -> Node:
        match node:
            case Scalar():
                if id(node) not in self._done:
                    self._done[id(node)] = self._scalar(node)
                return self._done[id(node)]
            case Sequence():
                return Sequence(node.span, tuple(self.node(item) for item in node.items))
            case Mapping():
                return Mapping(node.span, {name: Entry(entry.key, self.node(entry.value)) for name, entry in node.entries.items()})

    def _scalar(self, node: Scalar) -> Scalar:
        if node.span.source is not self.report.source or _OPEN.search(node.text) is None:
            return node
        texts: list[str] = []
        origins: list[str] = []
        faults: list[tuple[str, Fault]] = []
        is_secret = False
        length = 0
        for part in _parts(node.text):
            if isinstance(part, str):
                texts.append(part)
                length += len(part)
                continue
            found = self._resolve(part)
            if isinstance(found, Fault):
                faults.append((part.written, found))
                continue
            texts.append(found[0])
            origins.append(found[1])
            if part.path or part.name in self.secret_names:
                is_secret = True
                self.report.hide(found[0], part.written)
            length += len(found[0])
            if length > MAX_VALUE:
                faults.append(
                    (part.written, Fault(problems.OUT_OF_RANGE, (), f"the value is longer than {MAX_VALUE} characters", "shorten it"))
                )
                break
        for written, fault in faults:
            self.report.add_fault(fault, _narrowed(node.span, written))
        if faults:
            return replace(node, span=replace(node.span, interpolation=Interpolation(node.text, is_faulty=True)))
        text = "".join(texts)
        if not origins:
            return _scalar(node, text, node.span)
        became = Interpolation(node.text, tuple(origins), "" if is_secret else text, is_secret)
        return _scalar(node, text, replace(node.span, interpolation=became))

    def _resolve(self, reference: _Reference) -> tuple[str, str] | Fault:
        """Return what a reference stands for, and where that came from."""
        if reference.fault is not None:
            return reference.fault
        if reference.path:
            if reference.path not in self.files:
                self.files[reference.path] = _read(reference.path)
            content = self.files[reference.path]
            return content if isinstance(content, Fault) else (content, f"file {reference.path}")
        name, default = reference.name, reference.default
        value = self.environ.get(name)
        if default is not None and not value:
            return default, f"default of {name}"
        if value is None:
            # No other name is suggested: which variables there are is nobody's business.
            return Fault(
                problems.VARIABLE_NOT_SET,
                (),
                f"the environment variable `{name}` is not set",
                f"set it, or give it a default: `${{{name}:-default}}`",
            )
        if _SURROGATE.search(value):
            return Fault(problems.VARIABLE_NOT_SET, (), f"the environment variable `{name}` is not UTF-8", "set it to a text")
        return value, f"environment variable {name}"


def _scalar(node: Scalar, text: str, span: Span) -> Scalar:
    """Give a text its meaning: in quotes it stays a text."""
    return Scalar(span, text, text, is_quoted=True) if node.is_quoted else plain_scalar(text, span)


def _narrowed(span: Span, written: str) -> Span:
    """Return where in a value a reference stands, if it stands there as it is."""
    if span.line != span.end_line:
        return span
    at = span.source.line(span.line).find(written, span.column - 1, span.end_column - 1)
    return span if at < 0 else replace(span, column=at + 1, end_column=at + 1 + len(written))


def _parts(text: str) -> Iterator[str | _Reference]:
    """Cut a value into plain texts and references."""
    at = 0
    while match := _OPEN.search(text, at):
        yield text[at : match.start()]
        at = match.end()
        if match[0] == _ESCAPED:
            yield "${"
            continue
        end = text.find("}", at)
        if end < 0:
            yield _broken(text[match.start() :], "is never closed", f"write `${{NAME}}`; {_ESCAPE_HELP}")
            return
        inner = text[at:end]
        # The brace that closes a reference around another one is a part of what is wrong.
        end += 2 if "${" in inner and text.startswith("}", end + 1) else 1
        yield _reference(text[match.start() : end], inner)
        at = end
    yield text[at:]


def _broken(written: str, reason: str, help_: str) -> _Reference:
    return _Reference(written, fault=Fault(problems.BAD_REFERENCE, (), f"`{written}` {reason}", help_))


def _reference(written: str, inner: str) -> _Reference:
    """Read what stands in the braces."""
    plain = inner.strip()
    if "${" in inner:
        return _broken(written, "has a reference inside of a reference", "write one default, as plain text: `${NAME:-default}`")
    if inner.startswith(_FILE):
        path = inner.removeprefix(_FILE)
        if not Path(path).is_absolute():
            reason = "names no absolute path" if path else "names no file"
            return _broken(written, reason, f"write `${{file:/run/secrets/{Path(path).name or 'token'}}}`")
        return _Reference(written, path=path)
    if match := _VARIABLE.fullmatch(inner):
        return _Reference(written, match[1], match[2])
    if not plain:
        return _broken(written, "names no variable", f"write `${{NAME}}`; {_ESCAPE_HELP}")
    if plain.lower().startswith(_FILE):
        return _broken(written, "is not how a file is named", f"write `${{{_FILE}{plain[len(_FILE) :].strip()}}}`")
    if _VARIABLE.fullmatch(plain):
        return _broken(written, "has spaces around the name", f"write `${{{plain}}}`")
    if match := _PREFIXED.fullmatch(plain):
        return _broken(written, "has a prefix, and a variable is only its name", f"write `${{{match[1]}}}`")
    if match := _OPERATOR.fullmatch(plain):
        name, operator, rest = match.groups()
        # `?` and `:?` ask for an error where the variable is not set, as it is here anyway; `+` has no like here.
        right = f"${{{name}}}" if operator[-1] in "?+" else f"${{{name}:-{rest}}}"
        return _broken(written, f"has a `{operator}`, which means nothing here", f"write `{right}`")
    return _broken(written, "names no variable", f"write `${{NAME}}`: letters, digits and `_`, no digit first; {_ESCAPE_HELP}")


def _read(path: str) -> str | Fault:
    """Read a secret's file, less one line end at its end."""

    def bad(reason: str, help_: str) -> Fault:
        return Fault(problems.SECRET_FILE, (), f"the file `{path}` {reason}", help_)

    try:
        # Without O_NONBLOCK the start would hang on a pipe that nobody writes to.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                return bad("is not a regular file", "name a file that holds the value")
            with os.fdopen(number, "rb", closefd=False) as file:
                content = file.read(MAX_VALUE + 1)
        finally:
            os.close(number)
    except (OSError, ValueError) as error:
        reason = (error.strerror or "") if isinstance(error, OSError) else "its name holds a null byte"
        return bad(f"cannot be read: {reason.lower()}", "check the path, and that the user that runs corsproxy may read it")
    if len(content) > MAX_VALUE:
        return bad(f"is larger than {MAX_VALUE // 1024} KiB", "check that it is the right file")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return bad("is not UTF-8", "save it as text")
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
