"""
What a client likes to read: the Accept field, as far as it matters to answers that are there as JSON and as plain text.

It knows media ranges and their weights; it does not know what the answers say.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

# A browser's longest is a fifth of it.
MAX_BYTES: Final = 1024

# > media-range = ( "*/*" / ( type "/" "*" ) / ( type "/" subtype ) ) parameters (RFC 9110 12.5.1); `*` is a token's sign, too.
_RANGE: Final = re.compile(rb"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+)")
# > parameters = *( OWS ";" OWS [ parameter ] ) (RFC 9110 5.6.6)
_PARAMETER: Final = re.compile(
    rb"""[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e])*"))?"""
)
_END: Final = re.compile(rb"[ \t]*(?:,|\Z)")
_EMPTY: Final = re.compile(rb"[ \t]*,")
# > qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ) (RFC 9110 12.4.2)
_WEIGHT: Final = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")

# By falling precedence: the more a range says, the more it counts (RFC 9110 12.5.1). Whoever asks for JSON can read problem+json,
# and whoever asks for a page is a person, who can read plain text.
_JSON: Final = (b"application/problem+json", b"application/json", b"application/*", b"*/*")
_TEXT: Final = (b"text/plain", b"text/html", b"text/*", b"*/*")


class _Malformed(Exception):
    pass


class _Range(NamedTuple):
    """A media range, lower-case. `weight` is in thousandths; `has_parameters`: it means a special form of its type."""

    name: bytes
    weight: int
    has_parameters: bool


def prefers_text(values: Sequence[bytes]) -> bool:
    """
    Tell whether plain text is liked better than JSON. A tie, no Accept, one that does not parse and one that wants neither mean JSON.

    Pure; never raises.

    Spec: RFC 9110 12.5.1, 12.4.2.
    """
    return bool(values) and _prefers_text(b",".join(values))


def worth_keeping(values: Sequence[bytes]) -> Sequence[bytes]:
    """
    Return the lines of an Accept that can say something; what is kept of a request for long must not be what a client blows up.

    Spec: RFC 9110 12.5.1.
    """
    return values if sum(map(len, values)) <= MAX_BYTES else ()


@lru_cache(maxsize=128)
def _prefers_text(value: bytes) -> bool:
    if len(value) > MAX_BYTES:
        return False
    weights: dict[bytes, int] = {}
    try:
        for name, weight, has_parameters in _ranges(value):
            # What is there has no other forms.
            if not has_parameters:
                weights[name] = max(weight, weights.get(name, 0))
    except _Malformed:
        return False
    return _weight_of(_TEXT, weights) > _weight_of(_JSON, weights)


def _weight_of(names: Sequence[bytes], weights: dict[bytes, int]) -> int:
    return next((weights[name] for name in names if name in weights), 0)


def _ranges(value: bytes) -> Iterator[_Range]:
    place = 0
    while value[place:].strip(b" \t"):
        if empty := _EMPTY.match(value, place):
            place = empty.end()
            continue
        match = _RANGE.match(value, place)
        if match is None:
            raise _Malformed
        place, weight, has_parameters = _read_parameters(value, match.end())
        end = _END.match(value, place)
        if end is None:
            raise _Malformed
        place = end.end()
        yield _Range(match[1].lower(), weight, has_parameters)


def _read_parameters(value: bytes, place: int) -> tuple[int, int, bool]:
    """Return where the parameters of a range end, its weight, and whether any of them means a special form."""
    weights, has_parameters = [], False
    while parameter := _PARAMETER.match(value, place):
        place = parameter.end()
        name, said = parameter.groups()
        if name is None:
            continue
        # > Recipients SHOULD process any parameter named "q" as weight, regardless of parameter ordering. (RFC 9110 12.5.1)
        if name.lower() == b"q":
            weights.append(said)
        elif name.lower() != b"charset" or said.strip(b'"').lower() != b"utf-8":
            has_parameters = True
    if len(weights) > 1 or any(_WEIGHT.fullmatch(weight) is None for weight in weights):
        raise _Malformed
    return place, round(float(weights[0]) * 1000) if weights else 1000, has_parameters
