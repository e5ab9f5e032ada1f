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
    ADDRESS_OR_OFF = 'an address, or `"off"`'
    HOSTS = "a host name, or a list of host names"
    ORIGIN_URLS = "a URL, or a list of URLs"
    URL = "a URL"
    UPSTREAM = "a URL, or a mapping with `url`"
    DURATION = "a duration"
    DURATION_OR_ZERO = "a duration, or `0s`"
    SECONDS = "a duration, or a number of seconds"
    SIZE = "a size"
    SIZE_OR_NONE = "a size, or `none`"
    COUNT = "a whole number"
    COUNT_OR_AUTO = "a whole number, or `auto`"
    RATE = "a rate"
    RATE_KEY = "`client_ip`, `origin`, or `header:NAME`"
    BOOLEAN = "`true` or `false`"
    CHOICE = "a word"
    ORIGINS = 'a list of origins, or `"*"`'
    SOCKET_ORIGINS = 'a list of origins, `"*"`, `cors` or `none`'
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
    TESTS = "a list of tests"
    ORIGIN = "an origin"
    METHOD = "a method"
    REQUEST_PATH = "a path of a request"
    HOST = "a host"
    HEADER_NAMES = "a list of names"
    EXPECTATION = "`allow`, `deny`, `refused`, or a mapping with `response`"
    HEADER_VALUES = "a mapping of header names to values"
    FILE = "the name of a file"
    HOST_NAME = "a host name"
    SECTION = "a mapping"


@dataclass(frozen=True, slots=True)
class Key:
    """
    One key.

    `section` names the mapping that it stands in ("" is the file itself), `children` the one that it opens.
    `default` is what a user would write for it, as YAML; empty if there is none. `precedent` says where the
    default or the name is from. `also` lists names that people know it by from other tools. `least` and `most` bound
    a number, or a size in bytes. `is_global`: it acts before a route is known, so no route may set it.
    `implied` says in words what holds without the key where no default can be written; `flag` is the one that sets it.
    `needs` names keys of the same mapping without which it is an error to write it.

    The rest shapes `config.example.yaml`: `comment` is the short form of `doc` that stands beside the key, `lead` are
    lines of prose above it, `block` is what stands below the key where its default would show too little. A line of
    `block` has two spaces before its comment. `is_live`: it stands there ready for use, not commented out.
    `is_shown_elsewhere`: a block of another key shows it, because it would be an error beside what is live.
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
    implied: str = ""
    flag: str = ""
    needs: tuple[str, ...] = ()
    comment: str = ""
    lead: str = ""
    block: str = ""
    is_live: bool = False
    is_shown_elsewhere: bool = False


FILE: Final = ""
UPSTREAM: Final = "upstream"
POOL: Final = "pool"
TLS: Final = "tls"
UPSTREAM_TLS: Final = "upstream.tls"
TIMEOUTS: Final = "timeouts"
CORS: Final = "cors"
LIMITS: Final = "limits"
RATE_LIMIT: Final = "rate_limit"
ROUTE: Final = "route"
LOG: Final = "log"
SHUTDOWN: Final = "shutdown"
ADMIN: Final = "admin"
REQUEST_ID: Final = "request_id"
TRACE: Final = "trace"
HEADERS: Final = "headers"
HEADER_RULES: Final = "header_rules"
COOKIES: Final = "cookies"
TESTS: Final = "tests"
EXPECT: Final = "expect"

# The kinds that open one mapping with keys of its own.
BLOCKS: Final = (Kind.UPSTREAM, Kind.SECTION, Kind.POLICY)

# Keys of the file that begin so are ignored: a place for YAML anchors. Precedent: Compose extension fields.
EXTENSION_PREFIX: Final = "x-"
