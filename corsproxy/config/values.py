"""
Sections and lists, read by the table of keys.

It knows how each kind of key is written and how to say what is wrong with one; it does not know what the keys are for.
Single values are read in `scalars`.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.addresses import (
    parse_host,
    parse_listen,
    parse_public_url,
    parse_route_path,
    parse_server_name,
    parse_trusted,
    parse_upstream,
)
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.fields import read_name, read_names, read_values
from corsproxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from corsproxy.config.requests import parse_header_name, parse_method, parse_origin_of_page, parse_request_host, parse_request_path
from corsproxy.config.scalars import (
    ALIKE,
    MAX_TEXT,
    Reader,
    kind_of,
    nearest,
    place_of_item,
    read_boolean,
    read_choice,
    read_count,
    read_duration,
    read_file,
    read_host_or_word,
    read_one_or_many,
    read_parsed,
    read_seconds,
    read_size,
    refuse_kind,
    without_words,
)
from corsproxy.config.schema import EXPECT, EXTENSION_PREFIX, FILE, KEYS, ROUTE, SECTIONS, TESTS, UPSTREAM, Key, Kind
from corsproxy.config.settings import OriginHeader, PoolSettings, Upstream
from corsproxy.config.tls import build_client_tls
from corsproxy.cors.origin import NULL
from corsproxy.cors.origins import ANY, RegexEntry
from corsproxy.problems import Fault

# Above this likeness a misspelt key's value is read as if the name were right.
_SAME: Final = 0.8
_HOSTS: Final = {"upstream": b"", "preserve": None}


@dataclass(frozen=True, slots=True)
class Listed:
    """The entries of a list, each with its place."""

    values: tuple[Any, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """
    The known keys of one mapping.

    `guessed` are the keys that misspelt ones were taken for: they are not missing, whatever else they are.
    `label` is what messages call the mapping, with its backquotes; `at` is where to point when it lacks something.
    """

    name: str
    label: str
    at: Span | None
    entries: dict[str, Entry]
    guessed: frozenset[str]

    def lacks(self, name: str) -> bool:
        """Tell whether a key is neither there nor there under a wrong name."""
        return name not in self.entries and name not in self.guessed


def read_section(node: Mapping, name: str, label: str, at: Span | None, report: Report) -> Section:
    """Sort a mapping's entries into known keys, which are returned, and unknown ones, which are reported."""
    known = SECTIONS[name]
    entries = {key: entry for key, entry in node.entries.items() if key in known}
    guessed: set[str] = set()
    for key, entry in node.entries.items():
        if key in known or (name == FILE and key.startswith(EXTENSION_PREFIX)):
            continue
        guess, likeness = _nearest(key, known)
        if guess:
            guessed.add(guess)
        if guess and likeness >= _SAME:
            entries.setdefault(guess, entry)
        report.add(problems.UNKNOWN_KEY, entry.key.span, f"`{key}` is not a key of {label}", _unknown_help(key, guess, name))
    return Section(name, label, at, entries, frozenset(guessed))


def _nearest(text: str, known: dict[str, Key]) -> tuple[str, float]:
    plain = text.lower().replace("-", "_")
    if " " in plain:
        # A key and its value without the colon between them: the value is part of the key, so there is none to read.
        first = plain.partition(" ")[0]
        return (first, ALIKE) if first in known else ("", 0.0)
    if plain in known:
        return plain, 1.0
    for name, key in known.items():
        if plain in key.also or plain.replace("_", "") == name.replace("_", ""):
            return name, 1.0
    if any(key.name == text for key in KEYS):
        # It is spelled well, and stands in the wrong place.
        return "", 0.0
    return nearest(plain, known)


def _unknown_help(text: str, guess: str, section: str) -> str:
    if guess and " " in text:
        return f"write `{guess}: {text.partition(' ')[2].strip()}`, with a colon"
    if guess:
        return f"did you mean `{guess}`?"
    # Who misses a key at the top level does not miss it in a test.
    homes = [key.section for key in KEYS if key.name == text and key.section not in (TESTS, EXPECT)]
    if FILE in homes:
        return "write it at the top level of the file"
    if homes and section in (FILE, ROUTE):
        return "write it in one of the `routes`" if ROUTE in homes else f"write it under `{homes[0]}`"
    known = ", ".join(f"`{name}`" for name in SECTIONS[section])
    return f"take it out; {'the keys here are' if ',' in known else 'the only key here is'} {known}"


def read_fields(section: Section, report: Report) -> dict[str, Any]:
    """Read every key of a section that holds a single value or a list of them; those that fail are reported and left out."""
    found: dict[str, Any] = {}
    for name, entry in section.entries.items():
        key = SECTIONS[section.name][name]
        reader = _READERS.get(key.kind)
        value = None if reader is None else reader(entry.value, entry.value_span, key, report)
        if value is not None:
            found[name] = value
    return found


_ORIGINS: Final = (Kind.ORIGINS, Kind.SOCKET_ORIGINS)


def _read_list(node: Node, span: Span, key: Key, report: Report) -> Listed | None:
    if isinstance(node, Scalar) and node.text == ANY:
        return Listed((ANY,), (span,))
    if isinstance(node, Scalar) and node.is_null and key.is_required:
        # Whoever judges the list says what its emptiness means.
        return Listed((), ())
    if isinstance(node, Scalar) and not node.is_null:
        parts = ", ".join(node.text.replace(",", " ").split())
        refuse_kind(node, span, key, report, f"write a list: `[{parts}]`" if parts else "")
        return None
    if not isinstance(node, Sequence):
        refuse_kind(node, span, key, report)
        return None
    items = [found for item in node.items if (found := _read_item(item, key, report)) is not None]
    return None if node.items and not items else Listed(tuple(value for value, _ in items), tuple(place for _, place in items))


def _read_socket_origins(node: Node, span: Span, key: Key, report: Report) -> Listed | None:
    if isinstance(node, Scalar) and node.text in key.choices:
        return Listed((node.text,), (span,))
    found = _read_list(node, span, key, report)
    # Within a list the words are no origins, and mean nothing.
    for word, at in zip(found.values, found.spans, strict=True) if found is not None else ():
        if word in key.choices:
            report.add(problems.ORIGIN_SPELLING, at, f"`{word}` is no origin", f"write `{key.name}: {word}` alone, or take it out")
            return None
    return found


def _read_item(item: Node, key: Key, report: Report) -> tuple[str | RegexEntry, Span] | None:
    span = place_of_item(item)
    # The word `null` is an origin, and means that one where a list takes texts.
    if isinstance(item, Scalar) and item.text not in ("", "~") and len(item.text) <= MAX_TEXT:
        return item.text, span
    if isinstance(item, Scalar):
        message = f"an entry of `{key.name}` is " + ("too long" if item.text.strip("~") else "empty")
        report.add(problems.WRONG_TYPE, span, message, "take it out")
        return None
    if key.kind in _ORIGINS and isinstance(item, Mapping) and list(item.entries) == ["regex"]:
        pattern, at = item.entries["regex"].value, item.entries["regex"].value_span
        if isinstance(pattern, Scalar) and not pattern.is_null and 0 < len(pattern.text) <= MAX_TEXT:
            return RegexEntry(pattern.text), at
        help_ = r"write `regex: 'https://pr-\d+\.example\.com'`, in single quotes"
        report.add(problems.WRONG_TYPE, at, f"`regex` takes a text, and this is {kind_of(pattern)}", help_)
        return None
    help_ = "write one text an entry"
    if key.kind in _ORIGINS:
        help_ += ", or `regex: '…'`"
    report.add(problems.WRONG_TYPE, span, f"an entry of `{key.name}` is {kind_of(item)}", help_)
    return None


_read_plain_url: Final = read_parsed(parse_upstream)


def _read_url(node: Node, span: Span, key: Key, report: Report) -> Upstream | None:
    upstream: Upstream | None = _read_plain_url(node, span, key, report)
    if upstream is None or not isinstance(node, Scalar):
        return upstream
    # Logs name an upstream by its URL. One that is a secret goes by what the file has in its place.
    return replace(upstream, url=node.shown)


def _read_origin(node: Node, span: Span, key: Key, report: Report) -> bytes | None:
    # The word `null` is an origin, as in `allow_origins`.
    if isinstance(node, Scalar) and node.text == NULL.decode():
        return NULL
    found: bytes | None = read_parsed(parse_origin_of_page)(node, span, key, report)
    return found


def _read_header_names(node: Node, span: Span, key: Key, report: Report) -> tuple[bytes, ...] | None:
    listed = _read_list(node, span, key, report)
    if listed is None:
        return None
    found = [(parse_header_name(text), place) for text, place in zip(listed.values, listed.spans, strict=True)]
    for name, place in found:
        if isinstance(name, Fault):
            report.add_fault(name, place)
    return tuple(name for name, _ in found if isinstance(name, bytes))


def _read_networks(node: Node, span: Span, key: Key, report: Report) -> Listed | None:
    if isinstance(node, Mapping) or (isinstance(node, Scalar) and node.is_null):
        refuse_kind(node, span, key, report)
        return None
    read = read_parsed(parse_trusted)
    items = [(item, place_of_item(item)) for item in node.items] if isinstance(node, Sequence) else [(node, span)]
    found = [(value, at) for item, at in items if (value := read(item, at, key, report)) is not None]
    return None if items and not found else Listed(tuple(value for value, _ in found), tuple(at for _, at in found))


_READERS: Final[dict[Kind, Reader]] = {
    Kind.ADDRESSES: read_one_or_many(parse_listen),
    Kind.HOSTS: read_one_or_many(parse_host),
    Kind.ORIGIN_URLS: read_one_or_many(parse_public_url),
    Kind.URL: _read_url,
    Kind.PATH: read_parsed(parse_route_path),
    Kind.FILE: read_file,
    Kind.HOST_NAME: read_parsed(parse_server_name),
    Kind.DURATION: read_duration,
    Kind.SECONDS: read_seconds,
    Kind.SIZE: read_size,
    Kind.SIZE_OR_NONE: read_size,
    Kind.COUNT: read_count,
    Kind.COUNT_OR_AUTO: read_count,
    Kind.BOOLEAN: read_boolean,
    Kind.CHOICE: read_choice,
    Kind.ORIGINS: _read_list,
    Kind.SOCKET_ORIGINS: _read_socket_origins,
    Kind.NAMES: _read_list,
    Kind.ORIGIN: _read_origin,
    Kind.METHOD: read_parsed(parse_method),
    Kind.REQUEST_PATH: read_parsed(parse_request_path),
    Kind.HOST: read_parsed(parse_request_host),
    Kind.HEADER_NAMES: _read_header_names,
    Kind.NETWORKS: _read_networks,
    Kind.FIELD_NAME: read_name,
    Kind.FIELD_NAMES: read_names,
    Kind.FIELDS: read_values,
    Kind.HOST_HEADER: read_host_or_word("upstream", "preserve"),
    Kind.COOKIE_DOMAIN: read_host_or_word("keep", "remove"),
}


def read_upstream(entry: Entry, key: Key, report: Report) -> Upstream | None:
    """Read an upstream, a URL or a mapping that holds one; None if that fails."""
    if not isinstance(entry.value, Mapping):
        found: Upstream | None = _READERS[Kind.URL](entry.value, entry.value_span, key, report)
        return found
    section = read_section(entry.value, key.children, f"`{key.name}`", entry.key.span, report)
    if section.lacks("url"):
        report.add(problems.MISSING_KEY, section.at, f"`{key.name}` lacks `url`", "write `url: http://localhost:9000`")
    fields = read_fields(section, report)
    pool = _read_pool(section.entries.get("pool"), report)
    upstream: Upstream | None = fields.pop("url", None)
    tls = section.entries.get("tls")
    if tls is not None:
        entries, given = read_entries(tls, SECTIONS[UPSTREAM]["tls"], "write `tls: {ca_file: /certs/legacy-ca.pem}`", report)
        fields["client_tls"] = build_client_tls(tls, entries, given, upstream, report)
    if "host_header" in fields:
        word = fields["host_header"]
        fields["host_header"] = _HOSTS[word] if word in _HOSTS else word.encode()
    if "origin_header" in fields:
        fields["origin_header"] = OriginHeader(fields["origin_header"])
    return replace(upstream, pool=pool, **fields) if upstream is not None else None


def place_of_url(entry: Entry | None) -> Span | None:
    """Return where the URL of an upstream is written; None if it is not."""
    if entry is not None and isinstance(entry.value, Mapping):
        entry = entry.value.entries.get("url")
    return entry.value_span if entry is not None else None


def _read_pool(entry: Entry | None, report: Report) -> PoolSettings:
    given = read_block(entry, SECTIONS[UPSTREAM]["pool"], "write `pool: {idle_timeout: 4s}`", report)
    return PoolSettings(**without_words(given))


def read_block(entry: Entry | None, key: Key, help_: str, report: Report) -> dict[str, Any]:
    """Read a mapping that holds single values only; what is missing or faulty is left out."""
    return read_entries(entry, key, help_, report)[1] if entry is not None else {}


def read_entries(entry: Entry, key: Key, help_: str, report: Report) -> tuple[dict[str, Entry], dict[str, Any]]:
    """Read such a mapping, and return its known keys as they are written beside their values."""
    if not isinstance(entry.value, Mapping):
        refuse_kind(entry.value, entry.value_span, key, report, help_)
        return {}, {}
    section = read_section(entry.value, key.children, f"`{key.name}`", entry.key.span, report)
    return section.entries, read_fields(section, report)
