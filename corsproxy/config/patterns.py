"""
How single texts of the file look, as far as regular expressions can say it.

They are for the JSON Schema, in the dialect that ECMA 262 and Python share; the loader's own parsers say more. A pattern
never refuses what they take.
"""

from typing import Final

_PORT: Final = "0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_IPV6: Final = r"\[[0-9A-Fa-f:.]+\]"
_NAME: Final = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?"
_UNIX: Final = "unix:/[^/].*"
_NO_DOT_SEGMENT: Final = r"(?!.*/(?:\.|%2[Ee]){1,2}(?:/|$))"
_NOT_ZERO: Final = r"(?!0+(?:\.0+)?[A-Za-z]*$)"
_NUMBER: Final = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"

ADDRESS: Final = f"{_UNIX}|(?:{_IPV6}|(?:{_NAME})?):(?:{_PORT}|0+)"
HOST: Final = r"\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]"
UPSTREAM_URL: Final = (
    rf"{_UNIX}|{_NO_DOT_SEGMENT}[Hh][Tt][Tt][Pp][Ss]?://(?:{_IPV6}|{_NAME})(?::{_PORT})?"
    r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?"
)
ROUTE_PATH: Final = rf"{_NO_DOT_SEGMENT}(?!.*//)/[A-Za-z0-9._~!$&'()+,=:@/-]*"

# Origins as browsers send them. The wildcards: any subdomain in front of a name, any port behind it.
_ORIGIN_HOST: Final = r"(?:\[[0-9a-f:.]+\]|[a-z0-9._~-]+)"
_ORIGIN_PORT: Final = "[1-9][0-9]{0,4}"
PUBLIC_URL: Final = rf"https?://{_ORIGIN_HOST}(?::{_ORIGIN_PORT})?"
ORIGIN: Final = (
    rf"null|\*|file://|[a-z][a-z0-9+.-]*://{_ORIGIN_HOST}(?::{_ORIGIN_PORT})?"
    rf"|https?://(?:\*\.[a-z0-9_.-]+|{_ORIGIN_HOST})(?::{_ORIGIN_PORT}|:\*)?"
)
# Http origins of machines that others can stand between (Secure Contexts 3.1).
INSECURE_ORIGIN: Final = r"http://(?!(?:\*\.)?(?:[a-z0-9._~-]*\.)?localhost(?::|$)|127\.[0-9]+\.[0-9]+\.[0-9]+(?::|$)|\[::1\](?::|$)).*"

# What a browser's request has: an origin without wildcards, the path as it is sent, the host with its port.
PAGE_ORIGIN: Final = rf"null|file://|[a-z][a-z0-9+.-]*://{_ORIGIN_HOST}(?::{_ORIGIN_PORT})?"
REQUEST_PATH: Final = r"/[!-\"$-~]*"
REQUEST_HOST: Final = rf"{_ORIGIN_HOST}(?::[0-9]{{1,5}})?"

NETWORK: Final = r"unix|[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?"
HOST_NAME: Final = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?"

DURATION: Final = f"{_NOT_ZERO}{_NUMBER}(?:ms|s|m|h)"
DURATION_OR_ZERO: Final = f"{_NUMBER}(?:ms|s|m|h)|0"
SECONDS: Final = f"{_NUMBER}(?:ms|s|m|h)?"
SIZE: Final = f"{_NOT_ZERO}{_NUMBER}(?:B|KB|MB|GB|KiB|MiB|GiB)"
RATE: Final = "0*[1-9][0-9]{0,6}/[smh]"
DIGITS: Final = "[0-9]{1,18}"
# RFC 9110 5.6.2: token.
TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a word of HTTP's grammar
RATE_KEY: Final = rf"client_ip|origin|header:{TOKEN}"
# Of a header rule: a token without `*`, and what HTTP can carry.
FIELD_NAME: Final = r"[!#$%&'+.^_`|~0-9A-Za-z-]+"
FIELD_VALUE: Final = r"([^\x00-\x20\x7f]([^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?"
