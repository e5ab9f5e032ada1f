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
    parse_listen_or_off,
    parse_public_url,
    parse_server_name,
    parse_trusted,
    parse_upstream,
)
from corsproxy.config.choices import OriginHeader
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.fields import read_name, read_names, read_values
from corsproxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from corsproxy.config.paths import parse_route_path
from corsproxy.config.rates import parse_counted_by, parse_rate
from corsproxy.config.requests import parse_header_name, parse_method, parse_origin_of_page, parse_request_host, parse_request_path
from corsproxy.config.scalars import (
    MAX_TEXT,
    Reader,
    kind_of,
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
from corsproxy.config.schema import EXTENSION_PREFIX, FILE, SECTIONS, UPSTREAM, Key, Kind
from corsproxy.config.tls import build_client_tls
from corsproxy.config.unknown import guess_key, unknown_help
from corsproxy.config.upstreams import PoolSettings, Upstream
from corsproxy.cors.origin import NULL
from corsproxy.cors.origins import ANY, RegexEntry
from corsproxy.problems import Fault

# Above this likeness a misspelt key's value is read as if the name were right.
_SAME: Final = 0.8
# Where people write a header field at once; its value may be a secret.
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
        guess, likeness = guess_key(key, name)
        if guess:
            guessed.add(guess)
        if guess and likeness >= _SAME:
            entries.setdefault(guess, entry)
        report.add(problems.UNKNOWN_KEY, entry.key.span, f"`{key}` is not a key of {label}", unknown_help(key, guess, node, name))
    return Section(name, label, at, entries, frozenset(guessed))


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
        refuse_kind(node, span, key, report, _list_of(node, key))
        return None
    if not isinstance(node, Sequence):
        refuse_kind(node, span, key, report)
        return None
    items = [found for item in node.items if (found := _read_item(item, key, report)) is not None]
    return None if node.items and not items else Listed(tuple(value for value, _ in items), tuple(place for _, place in items))


def _list_of(node: Scalar, key: Key) -> str:
    """Say how to write a text that should be a list."""
    if node.text.startswith("-") and not node.is_quoted:
        return f"write `- {node.text[1:].lstrip()}`, with a space behind the dash"
    parts = ", ".join(node.text.replace(",", " ").split()) if isinstance(node.value, str) else ""
    return f"write a list: `{key.name}: [{parts}]`" if parts else ""


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
    if key.kind is Kind.ORIGINS:
        help_ = _origin_of(item)
    report.add(problems.WRONG_TYPE, span, f"an entry of `{key.name}` is {kind_of(item)}", help_)
    return None


def _origin_of(item: Node) -> str:
    """Say how to write an entry of `allow_origins` that is a mapping or a list, as Envoy and Istio have them."""
    entries = list(item.entries.items()) if isinstance(item, Mapping) else []
    if len(entries) == 1 and isinstance(entries[0][1].value, Scalar):
        name, text = entries[0][0], entries[0][1].value.shown
        if "reg" in name.lower() or "pattern" in name.lower():
            return f"write `- regex: '{text}'`"
        return f"write `- {text}`"
    return "write one text an entry, as `- https://app.example.com`, or `- regex: '…'`"


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
    Kind.ADDRESS_OR_OFF: read_parsed(parse_listen_or_off),
    Kind.HOSTS: read_one_or_many(parse_host),
    Kind.ORIGIN_URLS: read_one_or_many(parse_public_url),
    Kind.URL: _read_url,
    Kind.PATH: read_parsed(parse_route_path),
    Kind.FILE: read_file,
    Kind.HOST_NAME: read_parsed(parse_server_name),
    Kind.DURATION: read_duration,
    Kind.DURATION_OR_ZERO: read_duration,
    Kind.SECONDS: read_seconds,
    Kind.SIZE: read_size,
    Kind.SIZE_OR_NONE: read_size,
    Kind.COUNT: read_count,
    Kind.COUNT_OR_AUTO: read_count,
    Kind.RATE: read_parsed(parse_rate),
    Kind.RATE_KEY: read_parsed(parse_counted_by),
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
