"""The rows of the table of keys that make a policy test."""

from typing import Final

from corsproxy.config.key import EXPECT, TESTS, Key, Kind

# The words that a test can expect, in the order that messages list them.
EXPECTATIONS: Final = ("allow", "deny", "refused")

TEST_KEYS: Final = (
    Key(
        TESTS,
        "origin",
        Kind.ORIGIN,
        "The origin of the page whose script calls, as the browser sends it; without it, the request carries no Origin.",
        example="https://app.example.com",
        also=("origins", "from", "page", "site", "allow_origin", "allow_origins"),
    ),
    Key(
        TESTS,
        "method",
        Kind.METHOD,
        "The method of the call.",
        default="GET",
        precedent="fetch() sends GET where a script says nothing",
        also=("methods", "verb", "request_method", "allow_methods"),
    ),
    Key(
        TESTS,
        "path",
        Kind.REQUEST_PATH,
        "The path that is called; it may have a query.",
        default="/",
        also=("paths", "url", "uri", "target"),
    ),
    Key(
        TESTS,
        "host",
        Kind.HOST,
        "The host that is called, with its port if that is not the scheme's own; without it, one that the proxy answers for.",
        example="api.example.com",
        also=("hosts", "hostname", "authority", "server"),
    ),
    Key(
        TESTS,
        "credentials",
        Kind.BOOLEAN,
        "Whether the script asks for cookies and other credentials to be sent; without it, as the policy has it.",
        example="true",
        precedent="fetch() `credentials`",
        also=("with_credentials", "allow_credentials", "cookies", "credential"),
    ),
    Key(
        TESTS,
        "headers",
        Kind.HEADER_NAMES,
        "The names of the request headers that the script sets.",
        default="[]",
        example="[Content-Type]",
        also=("header", "request_headers", "allow_headers", "names"),
    ),
    Key(
        TESTS,
        "expect",
        Kind.EXPECTATION,
        "What must become of it.",
        children=EXPECT,
        choices=EXPECTATIONS,
        example="allow",
        also=("expected", "expects", "expectation", "result", "outcome", "should", "then"),
        is_required=True,
    ),
    Key(
        EXPECT,
        "response",
        Kind.HEADER_VALUES,
        "The header fields that the client must get, each with its exact value; `null` for one that must not be there.",
        example="{Vary: Origin}",
        also=("headers", "response_headers", "fields", "answer", "responses"),
        is_required=True,
    ),
)
