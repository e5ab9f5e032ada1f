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
        "The origin of the page whose script calls, as browsers send it; `null` for an opaque one. Without it the request carries no Origin, as that of a program or a link.",
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
        "The path that is called, with its query if it has one.",
        default="/",
        also=("paths", "url", "uri", "target"),
    ),
    Key(
        TESTS,
        "host",
        Kind.HOST,
        "The host that is called, with a port unless it is the scheme's own. Without it: the first `public_url`, else one of `hosts`, else `localhost` with the port that is listened on.",
        example="api.example.com",
        also=("hosts", "hostname", "authority", "server"),
    ),
    Key(
        TESTS,
        "credentials",
        Kind.BOOLEAN,
        'Whether the script asks for cookies and other credentials: `fetch(…, {credentials: "include"})`. Without it, it asks if the policy allows them.',
        example="true",
        precedent="fetch() `credentials`",
        also=("with_credentials", "allow_credentials", "cookies", "credential"),
    ),
    Key(
        TESTS,
        "headers",
        Kind.HEADER_NAMES,
        "The request headers that the script sets. Content-Type stands for JSON, which needs permission; Accept, Accept-Language, Content-Language and Range are set to values that need none.",
        default="[]",
        example="[Content-Type]",
        also=("header", "request_headers", "allow_headers", "names"),
    ),
    Key(
        TESTS,
        "websocket",
        Kind.BOOLEAN,
        "Whether the script opens a WebSocket, which is a GET with cookies, without a preflight and without headers of its own; `allow`: it opens.",
        default="false",
        precedent="WebSockets: the handshake's request",
        also=("websockets", "ws", "socket", "upgrade"),
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
        "The fields that the client must get on the request itself, each with this very value, several lines joined by `, `; `null` for a field that must not be there. Where the proxy refuses, its refusal is the answer.",
        example="{Vary: Origin}",
        also=("headers", "response_headers", "fields", "answer", "responses"),
        is_required=True,
    ),
)
