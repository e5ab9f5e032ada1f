"""
What one row of the table of keys says.

It knows the kinds of keys and the names of the mappings that they stand in; the rows are in `schema` and beside it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a key takes."""

    ADDRESSES = "an address, or a list of addresses"
    HOSTS = "a host name, or a list of host names"
    ORIGIN_URLS = "a URL, or a list of URLs"
    URL = "a URL"
    UPSTREAM = "a URL, or a mapping with `url`"
    DURATION = "a duration"
    SECONDS = "a duration, or a number of seconds"
    SIZE = "a size"
    SIZE_OR_NONE = "a size, or `none`"
    COUNT = "a whole number"
    COUNT_OR_AUTO = "a whole number, or `auto`"
    BOOLEAN = "`true` or `false`"
    CHOICE = "a word"
    ORIGINS = 'a list of origins, or `"*"`'
    NAMES = 'a list of names, or `"*"`'
    NETWORKS = "a list of addresses or networks"
    FIELD_NAME = "the name of a header field"
    FIELD_NAMES = "a list of names of header fields"
    FIELDS = "a mapping of names to values"
    HOST_HEADER = "`upstream`, `preserve`, or a host name"
    COOKIE_DOMAIN = "`keep`, `remove`, or a host name"
    POLICY = "a policy, the name of one, `none` or `passthrough`"
    POLICIES = "a mapping of names to policies"
    ROUTES = "a list of routes"
    PATH = "a path"
    SECTION = "a mapping"


@dataclass(frozen=True, slots=True)
class Key:
    """
    One key.

    `section` names the mapping that it stands in ("" is the file itself), `children` the one that it opens.
    `default` is what a user would write for it, as YAML; empty if there is none. `precedent` says where the
    default or the name is from. `also` lists names that people know it by from other tools. `least` and `most` bound
    a number, or a size in bytes. `is_global`: it acts before a route is known, so no route may set it.
    """

    section: str
    name: str
    kind: Kind
    doc: str
    default: str = ""
    children: str = ""
    choices: tuple[str, ...] = ()
    precedent: str = ""
    example: str = ""
    also: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    is_required: bool = False
    is_dangerous: bool = False
    is_global: bool = False
    is_reloadable: bool = True
    since: str = "0.1"


FILE: Final = ""
UPSTREAM: Final = "upstream"
POOL: Final = "pool"
TIMEOUTS: Final = "timeouts"
CORS: Final = "cors"
LIMITS: Final = "limits"
ROUTE: Final = "route"
LOG: Final = "log"
REQUEST_ID: Final = "request_id"
TRACE: Final = "trace"
HEADERS: Final = "headers"
HEADER_RULES: Final = "header_rules"
COOKIES: Final = "cookies"

# Keys of the file that begin so are ignored: a place for YAML anchors. Precedent: Compose extension fields.
EXTENSION_PREFIX: Final = "x-"
