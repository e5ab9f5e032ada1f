"""
Names that are no keys: what they were meant to be.

It knows the names that other programs have for the same things, and where a key stands whose name is right and whose place is
wrong; it reads no values.
"""

import re
from typing import Final

from corsproxy.config.nodes import Entry, Mapping, Scalar, Sequence
from corsproxy.config.scalars import ALIKE, nearest
from corsproxy.config.schema import CORS, ENVIRONMENT, EXPECT, FILE, HEADER_RULES, HEADERS, KEYS, ROUTE, SECTIONS, TESTS, Key, Kind
from corsproxy.semantics.tokens import is_token

# More names than these nobody reads; the reference has them in order.
_MAX_LISTED: Final = 8
# Below this likeness a name is no hint.
_HINT: Final = 0.6
_MAX_SHOWN: Final = 60
_CAPITAL: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])")
_OF_FIELDS: Final = {
    HEADERS: "`request: {set: {NAME: …}}` for what goes to the upstream, or `response: {set: {NAME: …}}` for what comes from it",
    HEADER_RULES: "`set: {NAME: …}`, or `add: {NAME: …}` to keep any that are there",
}
# The fields that `cors` writes, also as Traefik and Java spell them.
_CORS_FIELD: Final = re.compile("access_?control_?(.+)")


def guess_key(text: str, section: str) -> tuple[str, float]:
    """Return the key of a section that a name was meant for, and how sure that is; an empty name if it is none of them."""
    known = SECTIONS[section]
    plain = _plain(text)
    first = re.split("[ .]", plain, maxsplit=1)[0]
    if first != plain:
        # A key with its value, the colon forgotten, or with a key below it: there is no value to read by this name.
        return (first, ALIKE) if first in known else ("", 0.0)
    if section == FILE and _below(text):
        return CORS, ALIKE
    found = _by_name(plain, known)
    if found:
        return found, 1.0
    if any(key.name == text for key in KEYS):
        # It is spelled well, and stands in the wrong place.
        return "", 0.0
    return nearest(plain, known)


def _plain(text: str) -> str:
    return (_CAPITAL.sub("_", text) if not text.isupper() else text).strip().lower().replace("-", "_")


def _by_name(plain: str, known: dict[str, Key]) -> str:
    if plain in known:
        return plain
    joined = plain.replace("_", "")
    same = (name for name, key in known.items() if plain in key.also or joined in key.also or joined == name.replace("_", ""))
    return next(same, "")


def _below(text: str) -> str:
    """Return the key of a policy that a name at another place stands for: `CORS_ALLOWED_ORIGINS`, `Access-Control-Max-Age`."""
    plain = _plain(text)
    match = _CORS_FIELD.fullmatch(plain)
    rest = match[1] if match else plain.removeprefix("cors_") if plain.startswith("cors_") else ""
    return (_by_name(rest, SECTIONS[CORS]) or nearest(rest, SECTIONS[CORS])[0]) if rest else ""


def nested(path: str, value: str = "…") -> str:
    """Write a key by its path, as `upstream.url`, the way it stands in a file."""
    *above, name = path.split(".")
    return "".join(f"{each}: {{" for each in above) + f"{name}: {value}" + "}" * len(above)


def unknown_help(text: str, guess: str, node: Mapping, section: str) -> str:
    """Say what to do about a name that is no key; `node` is the mapping that it stands in."""
    if text in ENVIRONMENT:
        return f"write `{nested(ENVIRONMENT[text])}`; `{text}` is an environment variable"
    if section in (FILE, HEADERS, HEADER_RULES, ROUTE) and (below := _below(text)):
        return f"write `{nested(f'{CORS}.{below}', _shown(node.entries[text], SECTIONS[CORS][below]))}`"
    if guess and " " in text:
        return f"write `{guess}: {text.partition(' ')[2].strip()}`, with a colon"
    if guess and "." in text:
        return f"write `{nested(text, _shown(node.entries[text]))}`"
    if guess == "allow_origins" and re.search("reg|pattern", text.lower()) and isinstance(node.entries[text].value, Scalar):
        return f"write it as an entry of `{guess}`: `- regex: '{_shown(node.entries[text])}'`"
    if guess in node.entries:
        return f"did you mean `{guess}`? it is in line {node.entries[guess].key.span.line} already"
    if guess:
        return f"did you mean `{guess}`?"
    return _elsewhere(text, section) or _as_field(text, section) or _listed(text, section)


def _shown(entry: Entry, key: Key | None = None) -> str:
    """Return a value as it can stand in a message, in the form that `key` takes; what is no short text is left out."""
    items = entry.value.items if isinstance(entry.value, Sequence) else (entry.value,)
    texts = [item.shown for item in items if isinstance(item, Scalar)]
    shown = ", ".join(texts)
    if texts == ["*"]:
        return '"*"'
    if len(texts) < len(items) or not 0 < len(shown) <= _MAX_SHOWN:
        return "…"
    is_list = isinstance(entry.value, Sequence) or (key is not None and key.kind in (Kind.ORIGINS, Kind.NAMES))
    return f"[{shown}]" if is_list else shown


def _elsewhere(text: str, section: str) -> str:
    """Say where a key stands that is no key here."""
    # Who misses a key at the top level does not miss it in a test.
    keys = [key for key in KEYS if key.section not in (TESTS, EXPECT)]
    homes = [key.section for key in keys if key.name == text]
    if FILE in homes:
        return "write it at the top level of the file"
    if section not in (FILE, ROUTE):
        return ""
    if homes:
        return "write it in one of the `routes`" if ROUTE in homes else f"write it under `{homes[0]}`"
    plain = _plain(text)
    others = [key for key in keys if plain in key.also and key.section not in (FILE, ROUTE)]
    return f"did you mean `{others[0].name}`, under `{others[0].section}`?" if len(others) == 1 else ""


def _as_field(text: str, section: str) -> str:
    """Say how a header field is written, where a name that is no key looks like one."""
    if section == HEADERS and text in SECTIONS[HEADER_RULES]:
        return f"write it under `request` or `response`: `request: {{{text}: …}}`"
    if section in _OF_FIELDS and is_token(text.encode("utf-8", "replace")):
        return f"write {_OF_FIELDS[section].replace('NAME', text)}"
    return ""


def _listed(text: str, section: str) -> str:
    known = list(SECTIONS[section])
    names = [f"`{name}`" for name in known]
    if len(names) == 1:
        return f"take it out; the only key here is {names[0]}"
    if len(names) <= _MAX_LISTED:
        return f"take it out; the keys here are {', '.join(names)}"
    import difflib  # noqa: PLC0415 - for mistakes alone

    alike = [f"`{name}`" for name in difflib.get_close_matches(_plain(text)[:100], known, n=3, cutoff=_HINT)]
    most = f"the {'names' if alike[1:] else 'name'} most like it {'are' if alike[1:] else 'is'} {', '.join(alike)}; " if alike else ""
    return f"take it out; {most}docs/configuration.md lists all keys"
