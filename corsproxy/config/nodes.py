"""
YAML as a tree of nodes with positions.

It knows YAML's grammar (through PyYAML's parser), aliases, merges, and our own rules for scalars; it does not
know a single key. It reads events one by one, so neither depth nor aliases can make a small file expensive.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

from corsproxy import problems
from corsproxy.config import traps
from corsproxy.config.diagnostics import Diagnostic, Interpolation, Report, Source, Span, diagnostic

# Precedent: config.md rule 1. A proxy with a hundred routes has some six hundred values.
MAX_VALUES: Final = 1000
MAX_DEPTH: Final = 40

# The breaks that both parsers of PyYAML count lines by.
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_MERGE: Final = "<<"
_TOO_DEEP: Final = (f"values are nested deeper than {MAX_DEPTH} levels", "take levels out")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    """
    One value without parts.

    `text` is what stands there after unquoting; `value` is its meaning by our rules: only `true` and `false`
    are booleans, `null`, `~` and nothing are None, plain decimals are integers, all else is a string.
    """

    span: Span
    text: str
    value: str | int | bool | None
    is_quoted: bool = False

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Scalar({self.shown!r})"

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here, or a word for nothing."""
        return self.value is None

    @property
    def is_interpolated(self) -> bool:
        """Whether a part of the text came from outside of the file."""
        return self.span.interpolation is not None

    @property
    def is_secret(self) -> bool:
        """Whether the text must never show."""
        return self.span.interpolation is not None and self.span.interpolation.is_secret

    @property
    def origins(self) -> tuple[str, ...]:
        """Where the parts that are not the file's came from, in order: "environment variable NAME", "file /run/secrets/token"."""
        return self.span.interpolation.origins if self.span.interpolation is not None else ()

    @property
    def shown(self) -> str:
        """What people may see of it: the text, or for a secret what the file has in its place."""
        return self.span.interpolation.written if self.span.interpolation is not None and self.is_secret else self.text


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    span: Span
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value."""

    key: Scalar
    value: "Node"

    @property
    def value_span(self) -> Span:
        """Where the value stands; the key's place if nothing is written there."""
        return self.key.span if self.value.span.is_empty else self.value.span


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping; keys are strings, each there once, in the order of the file, merged ones last."""

    span: Span
    entries: dict[str, Entry] = field(hash=False)


Node = Scalar | Sequence | Mapping


class Unreadable(Exception):
    """The text cannot be taken for a tree; `diagnostic` says why. Nothing else is known about the file."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def split_lines(text: str) -> tuple[str, ...]:
    """Split a text where YAML does."""
    return tuple(_BREAK.split(text))


def line_starts(text: str) -> tuple[int, ...]:
    """Say at which offset each line begins, of those that `split_lines` makes."""
    return (0, *(found.end() for found in _BREAK.finditer(text)))


def plain_scalar(text: str, span: Span) -> Scalar:
    """Give an unquoted text its meaning."""
    if text in _WORDS:
        return Scalar(span, text, _WORDS[text])
    return Scalar(span, text, int(text) if _INTEGER.fullmatch(text) else text)


def read_value(text: str) -> Node:
    """Read a value that is known to be right, as those of the table of keys are."""
    source = Source("", split_lines(text))
    return read_nodes(text, source, Report(source))


def json_of(node: Node) -> Any:
    """Return what a tree says as the values of JSON. Pure."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Mapping):
        return {name: json_of(entry.value) for name, entry in node.entries.items()}
    return [json_of(item) for item in node.items]


def read_nodes(text: str, source: Source, report: Report) -> Node:
    """
    Read one YAML document.

    What can be read around (duplicate keys, keys that are no strings, tags) goes to the report. An empty
    document is a null scalar.

    Raises Unreadable, and nothing else, whatever the text.

    Spec: YAML 1.1 3, 7, 9; https://yaml.org/type/merge.html.
    """
    found = _UNPRINTABLE.search(text)
    if found is not None:
        _refuse_character(text, found.start(), source)
    try:
        return _Builder(source, report).build(text)
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_explain(error, source)) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The pure Python parser lets `chr()` and `int()` speak for themselves.
        message = "YAML cannot read the file: " + traps.one_line(str(error))
        help_ = "look for an odd escape in double quotes"
        raise Unreadable(diagnostic(problems.NOT_YAML, None, message, help_, file=source.name)) from error


def _refuse_character(text: str, at: int, source: Source) -> None:
    lines = _BREAK.split(text[:at])
    span = Span(source, len(lines), len(lines[-1]) + 1, len(lines), len(lines[-1]) + 2)
    message = f"the character U+{ord(text[at]):04X} cannot stand in a YAML file"
    raise Unreadable(diagnostic(problems.NOT_YAML, span, message, "take it out, or write it as an escape in double quotes"))


def _explain(error: yaml.MarkedYAMLError, source: Source) -> Diagnostic:
    def place(mark: yaml.Mark | None) -> tuple[int, int] | None:
        return None if mark is None else (mark.line + 1, mark.column + 1)

    context = traps.one_line(str(error.context or ""))
    problem = traps.one_line(str(error.problem or "") or context)
    if "nesting depth" in problem:
        # libyaml reads ahead of what it hands out, and has a bound of its own.
        line, column = place(error.problem_mark) or (1, 1)
        return diagnostic(problems.TOO_LARGE, Span(source, line, column, line, column + 1), *_TOO_DEEP)
    return traps.explain(source, problem, place(error.problem_mark) or place(error.context_mark), context, place(error.context_mark))


@dataclass(slots=True)
class _Frame:
    """A collection that is still open. `start` is a mark of PyYAML, of either of its two parsers."""

    start: Any
    anchor: str | None
    count_before: int
    is_mapping: bool
    is_key: bool
    nodes: list[Node | None] = field(default_factory=list)


class _Builder:
    """Builds the tree from the events of PyYAML's parser; the only code that touches them."""

    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.report = report
        self.frames: list[_Frame] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.count = 0
        self.root: Node | None = None

    def build(self, text: str) -> Node:
        documents = 0
        for event in _events(text):
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        message = "a second YAML document begins here"
                        raise Unreadable(diagnostic(problems.NOT_YAML, self._span(event), message, "keep one document in the file"))
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._open(event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._close(event)
                case _:
                    pass
        return self.root if self.root is not None else plain_scalar("", Span(self.source, 1, 1, 1, 1))

    def _span(self, event: yaml.Event, start: Any = None) -> Span:
        begin: Any = start or event.start_mark
        end: Any = event.end_mark
        lines = self.source.lines
        (line, column), (end_line, end_column) = (traps.inside((mark.line + 1, mark.column + 1), lines) for mark in (begin, end))
        return Span(self.source, line, column, end_line, end_column)

    def _expects_key(self) -> bool:
        return bool(self.frames) and self.frames[-1].is_mapping and len(self.frames[-1].nodes) % 2 == 0

    def _count(self, values: int, span: Span) -> None:
        self.count += values
        if self.count > MAX_VALUES:
            message = f"the file holds more than {MAX_VALUES:,} values, aliases expanded"
            raise Unreadable(diagnostic(problems.TOO_LARGE, span, message, "use fewer routes or aliases"))

    def _place(self, node: Node | None, anchor: str | None, size: int) -> None:
        if anchor is not None and node is not None:
            self.anchors[anchor] = (node, size)
        if self.frames:
            self.frames[-1].nodes.append(node)
        else:
            self.root = node

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        span = self._span(event)
        self._refuse_tag(event, span)
        if _SURROGATE.search(event.value):
            raise Unreadable(diagnostic(problems.NOT_YAML, span, *traps.HALF_A_CHARACTER))
        is_key = self._expects_key()
        if not event.style and event.value.startswith(traps.TYPOGRAPHIC):
            plain = event.value.strip("".join(traps.TYPOGRAPHIC))
            message = f"`{event.value[:1]}` is no quote to YAML, but a part of the text"
            self.report.add(problems.YAML_TRAP, span, message, f'write `"{plain}"`')
            span, event.value = replace(span, interpolation=Interpolation(event.value, is_faulty=True)), plain
        node = Scalar(span, event.value, event.value, is_quoted=True) if event.style else plain_scalar(event.value, span)
        if not is_key:
            self._count(1, span)
        elif not isinstance(node.value, str):
            self.report.add(problems.WRONG_TYPE, span, f"the key `{node.text}` is not a word", f'put it in quotes: `"{node.text}"`')
            self._place(None, None, 0)
            return
        self._place(node, event.anchor, 1)

    def _alias(self, event: yaml.AliasEvent) -> None:
        span = self._span(event)
        name = str(event.anchor)
        if any(frame.anchor == name for frame in self.frames):
            message = f"the alias `*{name}` stands inside of what it stands for, so it has no end"
            raise Unreadable(diagnostic(problems.TOO_LARGE, span, message, "take the alias out"))
        if name not in self.anchors:
            help_ = traps.alias_help(self.source, name)
            message = f"YAML reads `*{name}` as an alias, and nothing is marked `&{name}` before it"
            raise Unreadable(diagnostic(problems.YAML_TRAP, span, message, help_))
        if self._expects_key():
            self.report.add(problems.WRONG_TYPE, span, f"the alias `*{name}` stands where a key is expected", "write the key itself")
            self._place(None, None, 0)
            return
        node, size = self.anchors[name]
        self._count(size, span)
        self._place(node, None, size)

    def _open(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        span = self._span(event)
        self._refuse_tag(event, span)
        if len(self.frames) >= MAX_DEPTH:
            raise Unreadable(diagnostic(problems.TOO_LARGE, span, *_TOO_DEEP))
        frame = _Frame(event.start_mark, event.anchor, self.count, isinstance(event, yaml.MappingStartEvent), self._expects_key())
        self._count(1, span)
        self.frames.append(frame)

    def _close(self, event: yaml.Event) -> None:
        frame = self.frames.pop()
        span = self._span(event, frame.start)
        if frame.is_key:
            if frame.is_mapping and self.source.line(span.line)[: span.column].endswith("{{"):
                raise Unreadable(diagnostic(problems.YAML_TRAP, replace(span, column=span.column - 1), *traps.TEMPLATE))
            self.report.add(
                problems.WRONG_TYPE,
                span,
                f"a {'mapping' if frame.is_mapping else 'list'} stands where a key is expected",
                "write a word; put a value that begins with `{` or `[` in quotes",
            )
            self._place(None, None, 0)
            return
        items = [node for node in frame.nodes if node is not None]
        node = self._mapping(frame.nodes, span) if frame.is_mapping else Sequence(span, tuple(items))
        self._place(node, frame.anchor, self.count - frame.count_before)

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent, span: Span) -> None:
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.report.add(problems.WRONG_TYPE, span, f"the tag `{tag}` has no meaning here", "take it out")

    def _mapping(self, nodes: list[Node | None], span: Span) -> Mapping:
        entries: dict[str, Entry] = {}
        for key, value in zip(nodes[::2], nodes[1::2], strict=True):
            if not isinstance(key, Scalar) or value is None:
                continue
            first = entries.get(key.text)
            if first is None:
                entries[key.text] = Entry(key, value)
                continue
            message = f"`{key.text}` is already set in line {first.key.span.line}"
            help_ = "write `<<: [*first, *second]` to merge several" if key.text == _MERGE else "keep one of the two"
            self.report.add(problems.DUPLICATE_KEY, key.span, message, help_)
        merge = entries.get(_MERGE)
        if merge is not None and not merge.key.is_quoted:
            del entries[_MERGE]
            for merged in self._merged(merge):
                entries.setdefault(merged.key.text, Entry(merged.key, merged.value))
        return Mapping(span, entries)

    def _merged(self, merge: Entry) -> Iterator[Entry]:
        parts = merge.value.items if isinstance(merge.value, Sequence) else (merge.value,)
        for part in parts:
            if isinstance(part, Mapping):
                yield from part.entries.values()
            else:
                help_ = "write `<<: *name`, where `&name` marks a mapping"
                self.report.add(problems.WRONG_TYPE, merge.key.span, "`<<` merges mappings, and this is none", help_)


def _events(text: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(text, Loader=_LOADER)
