"""
The catalogue of everything that can be wrong.

It knows each problem's code, title, severity, HTTP status, reason and remedy; it does not know where
a problem was met. Codes are stable: users search for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How much a problem weighs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Stage(StrEnum):
    """Which side of an exchange a problem belongs to."""

    CLIENT = "client"
    PROXY = "proxy"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One entry of the catalogue.

    `status` is the HTTP status of the answer that reports it (0: it never becomes an answer);
    `detail` is what a client may read: it names no address and no secret. `word` names what can end an exchange, for logs and
    metrics: stable, in snake_case, another one for each problem. `proxy_error` is what an answer's Proxy-Status calls it
    (RFC 9209 2.3), which has one name for all that is the client's fault.
    """

    code: str
    title: str
    why: str
    fix: str
    severity: Severity = Severity.ERROR
    status: int = 0
    stage: Stage = Stage.CLIENT
    detail: str = ""
    word: str = ""
    proxy_error: str = "http_request_error"

    @property
    def urn(self) -> str:
        """The `type` member of RFC 9457."""
        return f"urn:corsproxy:problem:{self.code}"

    @property
    def page(self) -> str:
        """Where the documentation explains it."""
        return f"docs/errors.md#{self.code.lower()}"


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A problem at a place inside a structure, found by a floor that knows no file.

    `path` leads from the structure's root to the value at fault: keys and list indices.
    `message` is one lower-case clause without a full stop; `help` is an imperative or empty.
    """

    problem: Problem
    path: tuple[str | int, ...]
    message: str
    help: str = ""


# --- CP1xx: the configuration file and the command line -------------------------------------------

FILE_UNREADABLE: Final = Problem(
    "CP101",
    "the file cannot be read",
    "The proxy runs from one file; without it nothing says which origins are welcome.",
    "Give the right path with `--config`, and let the user that runs corsproxy read it.",
)
NOT_YAML: Final = Problem(
    "CP102",
    "the file is not YAML",
    "YAML's own grammar is broken here, so nothing after this place can be understood.",
    "Mend this place first; other problems are listed once the file can be read.",
)
UNKNOWN_KEY: Final = Problem(
    "CP103",
    "unknown key",
    "A key that is ignored looks as if it worked. A misspelt security setting must not pass in silence.",
    "Use the name that the message suggests, or take the key out; `docs/configuration.md` lists all keys. Top-level keys that begin with `x-` are left alone.",
)
DUPLICATE_KEY: Final = Problem(
    "CP104",
    "duplicate key",
    "YAML readers keep the last of two equal keys and forget the first, which hides half of a policy.",
    "Keep one of them.",
)
WRONG_TYPE: Final = Problem(
    "CP105",
    "wrong kind of value",
    "The key takes another kind of value: a list, a mapping, a word, a number or true/false.",
    "Write the value in the form that the message shows.",
)
MISSING_KEY: Final = Problem(
    "CP106",
    "missing key",
    "Without this key the proxy cannot know what to do, and it does not guess.",
    "Add the key as the message shows.",
)
BAD_UNIT: Final = Problem(
    "CP107",
    "a unit is missing or unknown",
    "Systems disagree on what a bare number means: seconds or milliseconds, bytes or kilobytes.",
    "Write the unit: `500ms`, `15s`, `10m`, `2h`; `32KiB`, `10MB`.",
)
BAD_ADDRESS: Final = Problem(
    "CP108",
    "not an address or URL",
    "The proxy must know exactly where to listen and which upstream to call.",
    'Write `host:port`, `:port`, `"[::1]:port"` or `unix:/path` to listen; `http://host:port/path` for an upstream; '
    "a bare name for a host.",
)
NOT_A_CHOICE: Final = Problem(
    "CP109",
    "not one of the choices",
    "The key takes one of a few words, and this is none of them.",
    "Use one of the words that the message lists.",
)
UNKNOWN_POLICY: Final = Problem(
    "CP110",
    "no policy has that name",
    "A route that names a policy which does not exist would run without one.",
    "Define the policy under `policies`, or use `none` or `passthrough`.",
)
YAML_TRAP: Final = Problem(
    "CP111",
    "YAML reads this differently than it looks",
    "YAML gives some plain spellings a meaning of its own: `no` is false, `*name` is an alias, `{` opens a mapping.",
    "Put the value in quotes. For yes and no, write `true` and `false`; indent with spaces.",
)
OUT_OF_RANGE: Final = Problem(
    "CP112",
    "out of range",
    "The number is one that the proxy could not honour, or that would refuse every request.",
    "Use a number within the range that the message names; `docs/configuration.md` has every default.",
)
BAD_ROUTE: Final = Problem(
    "CP113",
    "not a route",
    "Routes are matched by path prefix on segment boundaries; this one can never match, or matches what another one does.",
    "Write a path that begins with `/` and has no dot segments, no `%`, no `?` and no `#`.",
)
TOO_LARGE: Final = Problem(
    "CP114",
    "the file is too large",
    "Aliases can make a small file expand into a huge one.",
    "Keep the file under 1,000 values after its aliases are expanded: let routes share a policy under `policies` instead of repeating it.",
)
COMMAND_LINE: Final = Problem(
    "CP115",
    "the command line does not fit",
    "The flags do not go together, or one lacks its value.",
    "Run `corsproxy --help`.",
)
USAGE: Final = Problem(
    "CP151",
    "the command line cannot be understood",
    "There is no such verb or flag, or a value is missing or not one that the flag takes.",
    "Run `corsproxy --help`, or `corsproxy VERB --help` for the flags of a verb.",
)
NO_POLICY: Final = Problem(
    "CP152",
    "no policy file",
    "Nothing says which upstream to call and which origins are welcome: no file is named, none lies where files are looked for, and no flags stand in for one.",
    "Name a file with `--config FILE`; or do without one, with `--upstream` and `--allow-origin`.",
)
OUTPUT_FAILED: Final = Problem(
    "CP153",
    "the output cannot be written",
    "The disk is full, or whatever stdout leads to does not take it.",
    "Make room, or write the output to another place.",
)
FILE_EXISTS: Final = Problem(
    "CP154",
    "the file exists already",
    "What somebody wrote is not overwritten by mistake.",
    "Write to another file, or say `--force`.",
)
UNKNOWN_VARIABLE: Final = Problem(
    "CP156",
    "an environment variable that corsproxy does not know",
    "Its name begins with CORSPROXY_, so it looks as if it were meant for corsproxy, but it sets nothing.",
    "Spell it as `docs/configuration.md` does, or take it away.",
    severity=Severity.WARNING,
)

VARIABLE_NOT_SET: Final = Problem(
    "CP116",
    "a variable is not set, or is no text",
    "A value of the file needs a variable of the environment that corsproxy was not started with. Going on without it would run another "
    "policy than the one that was written.",
    "Set the variable, or give it a default: `${NAME:-value}`.",
)
SECRET_FILE: Final = Problem(
    "CP117",
    "a secret's file cannot be used",
    "A value of the file is kept in a file of its own. That has to be a regular file, of at most 64 KiB of UTF-8, which corsproxy may read.",
    "Write its absolute path: `${file:/run/secrets/token}`; and let the user that runs corsproxy read it.",
)
BAD_REFERENCE: Final = Problem(
    "CP118",
    "not a reference to a variable or a file",
    "`${` begins a reference. There are three forms: `${NAME}`, `${NAME:-default}` and `${file:/path}`; what looks like another one is never "
    "taken for plain text, because a secret would then be missing in silence.",
    "Write one of the three forms; or `$${` for a plain `${`.",
)
BAD_TEST: Final = Problem(
    "CP121",
    "a policy test that cannot be",
    "A test asks what becomes of a request that a browser can make, at a path and a host that the proxy serves. "
    "One that asks for anything else would hold, or fail, for a reason that has nothing to do with the policy.",
    "Write the request as a browser sends it, or take the test out.",
)
TEST_FAILED: Final = Problem(
    "CP122",
    "a policy test fails",
    "The file says what must become of a request, and its policy does something else. One of the two is wrong.",
    "Mend the policy where the message points, or the test. `corsproxy explain` shows the whole exchange.",
)

BAD_RATE_KEY: Final = Problem(
    "CP123",
    "not what requests can be counted by",
    "A rate limit counts the requests of one client, one page's origin, or one value of a header field together. What anybody can write as they "
    "like limits nobody.",
    "Write `client_ip`, `origin`, or `header:NAME`.",
)

TLS_INCOMPLETE: Final = Problem(
    "CP131",
    "a TLS setting lacks its counterpart",
    "A certificate is of no use without its key, nor is a rule about client certificates that nobody is asked for.",
    "Write both keys, or neither.",
)
TLS_FILE_UNREADABLE: Final = Problem(
    "CP132",
    "a certificate file cannot be read",
    "The file is missing, or the user that runs corsproxy may not read it. Names are relative to the directory that it is started in.",
    "Mend the name, or the file's owner and mode: a private key is best 0600 and owned by the user that runs corsproxy.",
)
TLS_FILE_INVALID: Final = Problem(
    "CP133",
    "not a certificate or key that can be used",
    "Certificates and keys are read as PEM: text between `-----BEGIN …-----` and `-----END …-----`. A key must not have a password, "
    "for nobody is there to type it.",
    "Convert the file: `openssl x509 -inform DER -in FILE -out FILE.pem`; `openssl pkey -in FILE -out FILE.key` takes a password off.",
)
TLS_KEY_MISMATCH: Final = Problem(
    "CP134",
    "the key is not the certificate's",
    "The private key belongs to another certificate, or the first certificate in the file is not the server's own.",
    "Put the server's certificate first, and name the key that it was made with.",
)
TLS_UNUSED: Final = Problem(
    "CP135",
    "a TLS setting where no TLS is spoken",
    "It would be ignored, and look as if the connection were protected.",
    "Take it out, or use https.",
)

BAD_FIELD: Final = Problem(
    "CP141",
    "not a header field that HTTP can carry",
    "A name or a value that HTTP cannot carry would break the message that it stands in.",
    "Write a name of letters, digits and `-`, and a value on one line.",
)
RESERVED_FIELD: Final = Problem(
    "CP142",
    "a header field that no rule can change",
    "The proxy itself writes or reads this field: a rule would break messages, or say something other than what was decided.",
    "Use the key that the message names.",
)

# --- CP2xx: the policy and its dangers ------------------------------------------------------------

ORIGIN_SPELLING: Final = Problem(
    "CP201",
    "not an origin as browsers send it",
    "Browsers send the scheme, the host in lower case, and the port unless it is the default one; nothing else. "
    "The comparison is by bytes, so any other spelling never matches.",
    "Write the origin exactly as the message shows.",
)
WILDCARD_WITH_CREDENTIALS: Final = Problem(
    "CP202",
    "any origin together with credentials",
    "Every web site could then act with the cookies of every visitor and read the answers. Browsers refuse the combination.",
    "List the origins: `allow_origins: [https://app.example.com]`; or take `allow_credentials` out, if the data is for everybody.",
)
NULL_ORIGIN: Final = Problem(
    "CP203",
    "the origin `null`",
    "Any web site can make a request whose origin is `null`, with a sandboxed frame. Allowing it allows everybody.",
    "Take it out; or, if the data is public, write `dangerously_allow_null_origin: true` beside it.",
)
NULL_WITH_CREDENTIALS: Final = Problem(
    "CP204",
    "the origin `null` together with credentials",
    "Any web site can make a request whose origin is `null`; with credentials it could act as the visitor.",
    "Take `null` out: a page that needs the visitor's credentials is best served from an origin of its own.",
)
INSECURE_ORIGIN: Final = Problem(
    "CP205",
    "an http origin together with credentials",
    "Whoever controls the network between the visitor and an http page can put a script into it, and that script "
    "could then use the visitor's credentials.",
    "Use https; or write `dangerously_allow_insecure_origins: true` beside it.",
)
REGEX_SUBSET: Final = Problem(
    "CP206",
    "a pattern that is not safe to match",
    "Patterns are matched whole and in linear time. That needs a subset: literals, classes, groups, alternation, `?`, `{m,n}`; "
    "`*` and `+` on one character or class, not inside a repeated group, at most two of them.",
    "Write the pattern with fewer means, as `https://[a-z0-9-]{1,40}\\.example\\.com`; or `https://*.example.com`, or list the origins.",
)
BAD_METHOD: Final = Problem(
    "CP207",
    "not a method that a script can send",
    "Methods are compared by bytes. Browsers never send CONNECT, TRACE or TRACK for a script, and the parser knows only registered methods.",
    "Use the spelling that the message shows, or take the method out.",
)
BAD_REQUEST_HEADER: Final = Problem(
    "CP208",
    "not a request header that a script can set",
    "Browsers do not let scripts set this header, so allowing it has no effect but to mislead the reader.",
    "Take it out. Cookies need `allow_credentials: true` instead, and what scripts should read stands in `expose_headers`.",
)
BAD_RESPONSE_HEADER: Final = Problem(
    "CP209",
    "not a response header that a script can read",
    "Browsers never expose this header to scripts, or it is a request header.",
    "Take it out. Cookies need `allow_credentials: true` instead, and what scripts should set stands in `allow_headers`.",
)
BAD_MAX_AGE: Final = Problem(
    "CP210",
    "max_age out of range",
    "Browsers cap how long they remember a preflight: Firefox at 86400 s, Chromium at 7200 s, Safari at 600 s.",
    "Write a time from 0 (never remember) to 24h.",
)
NO_ORIGINS: Final = Problem(
    "CP211",
    "no origins",
    "A policy that allows nobody is more likely a mistake than a wish.",
    "List the origins that may call, or write `cors: none` on a route to allow none.",
)
BAD_WILDCARD: Final = Problem(
    "CP212",
    "a wildcard that means nothing",
    "`*.` stands for any subdomain in front of a host name, `:*` for any port; a `*` anywhere else has no meaning.",
    "Write `https://*.example.com`, `http://localhost:*`, or a `regex:`.",
)
PUBLIC_SUFFIX_WITH_CREDENTIALS: Final = Problem(
    "CP213",
    "every site below a public suffix, together with credentials",
    "Anybody can get a name below a public suffix such as `com` or `github.io`. A wildcard there lets strangers act as the visitor.",
    "Name the domain that is yours: `https://*.example.com`; or write `dangerously_allow_public_suffixes: true` beside it.",
)
WILDCARD_INTO_NETWORK: Final = Problem(
    "CP214",
    "any origin together with a private network",
    "Every web site could make its visitors' browsers call into the network that they sit in (CVE-2024-6221).",
    "List the origins that may, or take `allow_private_network` out.",
)
DANGEROUS_SETTING: Final = Problem(
    "CP251",
    "a dangerous setting is in force",
    "The file opts out of a protection. That is said at each start, so that it is not forgotten.",
    "Take the setting out when it is not needed any more.",
    severity=Severity.WARNING,
)
MAX_AGE_CAPPED: Final = Problem(
    "CP252",
    "max_age is longer than Chromium remembers",
    "Chromium caps at 7200 s, Safari at 600 s; only Firefox goes to 86400 s.",
    "Nothing breaks. Write `2h` to say what most visitors get.",
    severity=Severity.NOTE,
)
SAFELISTED_METHODS: Final = Problem(
    "CP253",
    "GET, HEAD and POST are always allowed",
    "The CORS protocol lets these three through without asking, so leaving them out of the list forbids nothing.",
    "Nothing breaks. List them to say what is true.",
    severity=Severity.NOTE,
)
UNESCAPED_DOT: Final = Problem(
    "CP254",
    "an unescaped dot in a host name",
    "A plain `.` in a pattern stands for any character: `app.example` also matches `appxexample`.",
    r"Write `\.`: `https://pr-\d+\.example\.com`.",
    severity=Severity.WARNING,
)
ANY_HOST: Final = Problem(
    "CP255",
    "every Host name is answered",
    "A web page can make its own name lead to this machine (DNS rebinding). To the browser the proxy is then the page's own "
    "origin, so CORS does not stop it. Only the Host field tells such a request apart.",
    'Name the hosts that browsers use with `hosts` or `public_url`; or write `hosts: "*"` if any name is right.',
    severity=Severity.WARNING,
)
ADMIN_ANY_HOST: Final = Problem(
    "CP265",
    "the admin listener answers every Host name",
    "A web page can make its own name lead to this machine (DNS rebinding). To the browser the admin listener is then the page's own "
    "origin, so the page can read what it serves. Only the Host field tells such a request apart.",
    "Name the hosts that operators use with `admin.hosts`; localhost and IP addresses are always answered.",
    severity=Severity.WARNING,
)
TRUSTS_EVERYBODY: Final = Problem(
    "CP261",
    "every client is believed",
    "A network of all addresses makes every client a trusted proxy: it can claim any address, host and scheme.",
    "Name the networks of the proxies in front: `trusted_proxies: [10.0.0.0/8]`.",
    severity=Severity.WARNING,
)
PASSTHROUGH: Final = Problem(
    "CP262",
    "a route passes CORS through",
    "On this route nothing is judged: no origin is refused, not at a WebSocket's handshake either, and what the upstream's own CORS fields "
    "allow is allowed.",
    "Nothing breaks. Write a policy if the proxy should decide.",
    severity=Severity.WARNING,
)

PUBLIC_SUFFIX: Final = Problem(
    "CP256",
    "every site below a public suffix",
    "Anybody can get a name below a public suffix such as `com` or `github.io`, so a wildcard there lets strangers read what only few were meant to.",
    'Name the domain that is yours: `https://*.example.com`; or say that everybody is welcome: `allow_origins: "*"`.',
    severity=Severity.WARNING,
)
PLAIN_UPSTREAM: Final = Problem(
    "CP257",
    "credentials go upstream in clear text",
    "The upstream is called by http, and its name or address is not one of a private network. Whoever sits on the way reads the credentials "
    "and can use them.",
    "Call the upstream by https, or by an address of a private network.",
    severity=Severity.WARNING,
)
CERTIFICATE_DATES: Final = Problem(
    "CP258",
    "a certificate has expired, or soon will",
    "Clients and upstreams refuse a certificate outside of its dates.",
    "Renew it. The files are read again when they change.",
    severity=Severity.WARNING,
)

# --- CP3xx: a request that is refused -------------------------------------------------------------

ORIGIN_REFUSED: Final = Problem(
    "CP301",
    "origin not allowed",
    "The request came from a page on another origin, and the policy of this route does not name that origin.",
    "If the page is yours, add its origin to `allow_origins`.",
    status=403,
    detail="The policy of this route does not allow the origin that sent this request.",
    word="origin_refused",
    proxy_error="http_request_denied",
)
METHOD_REFUSED: Final = Problem(
    "CP302",
    "method not allowed for cross-origin requests",
    "The request came from a page on an allowed origin, with a method that the policy does not name.",
    "Add the method to `allow_methods`.",
    status=403,
    detail="The policy of this route does not allow this method for cross-origin requests.",
    word="method_refused",
    proxy_error="http_request_denied",
)
CORS_OFF: Final = Problem(
    "CP303",
    "no cross-origin access on this route",
    "The route says `cors: none`: pages on other origins may not call it.",
    "Give the route a policy if pages on other origins are meant to call it.",
    status=403,
    detail="This route takes no cross-origin requests.",
    word="cors_off",
    proxy_error="http_request_denied",
)
NO_ROUTE: Final = Problem(
    "CP304",
    "no route",
    "No route of the file matches the path, and there is no top-level `upstream`.",
    "Add a route, or a top-level `upstream`.",
    status=404,
    detail="No route matches this path.",
    word="no_route",
    proxy_error="destination_not_found",
)
BAD_REQUEST: Final = Problem(
    "CP305",
    "malformed request",
    "The request breaks the grammar of HTTP/1.1 or can be read in more than one way.",
    "Mend the client; such requests are never guessed at.",
    status=400,
    detail="The request is malformed.",
    word="bad_request",
)
METHOD_UNSUPPORTED: Final = Problem(
    "CP306",
    "method not supported",
    "CONNECT asks for a tunnel, TRACE and TRACK echo what the proxy adds; none is forwarded.",
    "Use another method.",
    status=405,
    detail="This method is never forwarded.",
    word="method_unsupported",
)
AMBIGUOUS_PATH: Final = Problem(
    "CP307",
    "ambiguous path",
    "Dot segments, encoded slashes or double encoding make the path match one route as it is written and another one as the upstream may read it.",
    "Send the path in its plain form.",
    status=400,
    detail="The path can be read in more than one way.",
    word="ambiguous_path",
)
BODY_TOO_LARGE: Final = Problem(
    "CP308",
    "content too large",
    "The request's content is larger than this route takes.",
    "Send less, or raise `limits.request_body`.",
    status=413,
    detail="The request's content is larger than this route takes.",
    word="body_too_large",
)
TARGET_TOO_LONG: Final = Problem(
    "CP309",
    "URI too long",
    "The request line is longer than the proxy takes.",
    "Send long input in the content, or raise `limits.request_line`.",
    status=414,
    detail="The request line is too long.",
    word="target_too_long",
)
HEAD_TOO_LARGE: Final = Problem(
    "CP310",
    "request header fields too large",
    "The request's head, or the number of its fields, is larger than the proxy takes.",
    "Cookies are the usual cause: clear them; or raise `limits.request_head` or `limits.header_count`.",
    status=431,
    detail="The request's header fields are too large.",
    word="head_too_large",
)
CODING_UNSUPPORTED: Final = Problem(
    "CP311",
    "transfer coding not supported",
    "`chunked` is the only transfer coding that the proxy understands; to pass another one on would be to guess where the message ends.",
    "Send `Transfer-Encoding: chunked` alone, or a `Content-Length`.",
    status=501,
    detail="The only transfer coding supported is chunked.",
    word="coding_unsupported",
)
REQUEST_TIMEOUT: Final = Problem(
    "CP312",
    "request timeout",
    "The client stopped in the middle of its request.",
    "Send the rest sooner, or raise `limits.header_timeout` or `limits.body_idle_timeout`.",
    status=408,
    detail="The request did not arrive in time.",
    word="request_timeout",
)
EXPECTATION_FAILED: Final = Problem(
    "CP313",
    "expectation failed",
    "The only expectation that HTTP defines is `100-continue`.",
    "Take the Expect field out.",
    status=417,
    detail="The only expectation supported is 100-continue.",
    word="expectation_failed",
)
MISDIRECTED: Final = Problem(
    "CP314",
    "misdirected request",
    "The Host field names a host that this proxy does not answer for: a DNS rebinding attack looks like this.",
    "Add the name to `hosts`.",
    status=421,
    detail="This proxy does not answer for that host.",
    word="misdirected",
    proxy_error="http_request_denied",
)
OVERLOADED: Final = Problem(
    "CP316",
    "too many exchanges",
    "As many exchanges as the proxy takes are in flight.",
    "Try again; or raise `limits.in_flight`.",
    status=503,
    stage=Stage.PROXY,
    detail="Too many requests are in flight. Try again.",
    word="overloaded",
    proxy_error="proxy_internal_response",
)
DRAINING: Final = Problem(
    "CP319",
    "shutting down",
    "The request came on an open connection while the proxy was about to end.",
    "Try again: another proxy answers, or this one after its restart.",
    status=503,
    stage=Stage.PROXY,
    detail="The proxy is shutting down. Try again.",
    word="shutting_down",
    proxy_error="proxy_internal_response",
)
TOO_MANY_TUNNELS: Final = Problem(
    "CP318",
    "too many WebSockets",
    "As many WebSockets as the proxy takes are open.",
    "Try again; or raise `limits.tunnels`.",
    status=503,
    stage=Stage.PROXY,
    detail="Too many WebSockets are open. Try again.",
    word="too_many_tunnels",
    proxy_error="proxy_internal_response",
)
LOOP: Final = Problem(
    "CP317",
    "loop detected",
    "The request has already passed through this very proxy: an upstream leads back to it.",
    "Point `upstream` at the API itself.",
    status=508,
    stage=Stage.PROXY,
    detail="The request has already passed through this proxy.",
    word="loop",
    proxy_error="proxy_loop_detected",
)

CERTIFICATE_REQUIRED: Final = Problem(
    "CP321",
    "client certificate required",
    "The proxy asks for a client certificate in the TLS handshake, and this client showed none. Browsers show none on preflights, which pass, "
    "and on other cross-origin requests only with `credentials: 'include'`.",
    "Install a certificate that `tls.client_ca_file` has signed; from a page, use `credentials: 'include'` and `allow_credentials: true`. "
    "Or write `tls.client_certificate: optional`.",
    status=403,
    detail="This proxy requires a client certificate.",
    word="certificate_required",
    proxy_error="http_request_denied",
)

WEBSOCKET_REFUSED: Final = Problem(
    "CP322",
    "origin not allowed to open a WebSocket",
    "The handshake came from a page on another origin, and the policy of this route does not let that origin in. Browsers have no CORS for "
    "WebSockets: they open one to any server, with the visitor's cookies, so it is decided here.",
    "If the page is yours, add its origin to `allow_origins`, or to `websocket_origins` where the policy has it.",
    status=403,
    detail="The policy of this route does not let this origin open a WebSocket.",
    word="websocket_refused",
    proxy_error="http_request_denied",
)
WEBSOCKET_VERSION: Final = Problem(
    "CP329",
    "WebSocket version not supported",
    "The handshake asks for another version of the protocol than 13, which is the only one that RFC 6455 defines.",
    "Use a client that speaks version 13.",
    status=426,
    detail="The only WebSocket version supported is 13.",
    word="websocket_version",
)

LENGTH_REQUIRED: Final = Problem(
    "CP330",
    "length required",
    "An HTTP/1.0 client sends a POST without Content-Length. HTTP/1.0 has no other way to say where its content ends, so nobody can tell "
    "how much of it there is.",
    "Send a `Content-Length`, be it 0; or speak HTTP/1.1.",
    status=411,
    detail="A POST needs a Content-Length in this version of HTTP.",
    word="length_required",
)

RATE_LIMITED: Final = Problem(
    "CP331",
    "too many requests",
    "The client, the origin or the value of the field that `rate_limit` counts by has sent more than that lets through.",
    "Wait as long as `Retry-After` says; or raise `rate_limit`. If all clients share one limit, name the proxies in front under `trusted_proxies`.",
    status=429,
    detail="There were too many requests. Wait before the next one.",
    word="rate_limited",
)

# --- CP4xx: an upstream that fails ----------------------------------------------------------------

UPSTREAM_REFUSED: Final = Problem(
    "CP401",
    "upstream refused the connection",
    "Nothing listens at the upstream's address.",
    "Start the upstream, or mend `upstream`.",
    status=502,
    stage=Stage.UPSTREAM,
    detail="The upstream refused the connection.",
    word="connection_refused",
    proxy_error="connection_refused",
)
UPSTREAM_UNRESOLVED: Final = Problem(
    "CP402",
    "upstream name not resolved",
    "The name in `upstream` has no address.",
    "Mend the name, or the resolver.",
    status=502,
    stage=Stage.UPSTREAM,
    detail="The upstream's name could not be resolved.",
    word="unresolved",
    proxy_error="dns_error",
)
UPSTREAM_UNREACHABLE: Final = Problem(
    "CP403",
    "upstream unreachable",
    "The network has no way to the upstream's address.",
    "Look at routes, firewalls and network policies.",
    status=502,
    stage=Stage.UPSTREAM,
    detail="The upstream could not be reached.",
    word="unreachable",
    proxy_error="destination_ip_unroutable",
)
UPSTREAM_TLS: Final = Problem(
    "CP404",
    "TLS with the upstream failed",
    "The upstream speaks no TLS, or none that is spoken here, or wants a certificate of the client's that it was not shown.",
    "The log says which. Look at the port and at the scheme in `upstream`, or at `upstream.tls.cert_file`.",
    status=502,
    stage=Stage.UPSTREAM,
    detail="The TLS handshake with the upstream failed.",
    word="tls_failed",
    proxy_error="tls_protocol_error",
)
UPSTREAM_CLOSED: Final = Problem(
    "CP405",
    "upstream closed the connection",
    "The upstream closed the connection before it answered.",
    "Look at the upstream's log.",
    status=502,
    stage=Stage.UPSTREAM,
    detail="The upstream closed the connection before it answered.",
    word="closed_early",
    proxy_error="connection_terminated",
)
UPSTREAM_BAD_HEAD: Final = Problem(
    "CP406",
    "upstream sent a malformed answer",
    "The head of the upstream's answer breaks the grammar of HTTP/1.1 or says two things about where the message ends.",
    "Mend the upstream; such answers are never guessed at.",
    status=502,
    stage=Stage.UPSTREAM,
    detail="The upstream sent a malformed answer.",
    word="bad_head",
    proxy_error="http_protocol_error",
)
UPSTREAM_CONNECT_TIMEOUT: Final = Problem(
    "CP407",
    "connecting to the upstream took too long",
    "No connection within `timeouts.connect`.",
    "Look at the network and at the upstream's load.",
    status=504,
    stage=Stage.UPSTREAM,
    detail="Connecting to the upstream took too long.",
    word="connect_timeout",
    proxy_error="connection_timeout",
)
UPSTREAM_RESPONSE_TIMEOUT: Final = Problem(
    "CP408",
    "upstream did not answer in time",
    "The upstream took the request and sent no head within `timeouts.response`.",
    "Look at the upstream's load, or raise `timeouts.response` for this route.",
    status=504,
    stage=Stage.UPSTREAM,
    detail="The upstream did not answer in time.",
    word="response_timeout",
    proxy_error="http_response_timeout",
)
UPSTREAM_IDLE_TIMEOUT: Final = Problem(
    "CP409",
    "upstream stopped in the middle",
    "The upstream owed bytes, or took none, for longer than `timeouts.idle`.",
    "Look at the upstream, or raise `timeouts.idle` for this route.",
    status=504,
    stage=Stage.UPSTREAM,
    detail="The upstream stopped in the middle of the exchange.",
    word="idle_timeout",
    proxy_error="connection_write_timeout",
)
UPSTREAM_POOL_FULL: Final = Problem(
    "CP410",
    "no upstream connection free",
    "As many connections as `upstream.pool.max_connections` are in use, and none came free within `upstream.pool.wait`.",
    "Raise the limit, or look at why the upstream is slow.",
    status=503,
    stage=Stage.PROXY,
    detail="No connection to the upstream was free in time.",
    word="pool_full",
    proxy_error="connection_limit_reached",
)
UPSTREAM_TRUNCATED: Final = Problem(
    "CP411",
    "upstream's answer was cut short",
    "The connection ended, or its framing broke, before the message was complete. The client's connection is cut too, so that the part is not taken for the whole.",
    "Look at the upstream's log.",
    status=502,
    stage=Stage.UPSTREAM,
    detail="The upstream's answer was cut short.",
    word="truncated",
    proxy_error="http_response_incomplete",
)

UPSTREAM_BAD_SWITCH: Final = Problem(
    "CP412",
    "upstream switched to what was not asked for",
    "The upstream answered 101, and the client had not asked for a WebSocket, or the answer does not fit the handshake: "
    "`Upgrade`, `Connection` or `Sec-WebSocket-Accept` is missing or wrong.",
    "Look at what answers there: it has to be a WebSocket server, and no cache may stand before it.",
    status=502,
    stage=Stage.UPSTREAM,
    detail="The upstream switched protocols in a way that was not asked for.",
    word="bad_switch",
    proxy_error="http_upgrade_failed",
)
TUNNEL_CUT: Final = Problem(
    "CP413",
    "upstream cut a WebSocket",
    "The upstream reset the connection of an open WebSocket. The client's connection is reset too.",
    "Look at the upstream's log.",
    severity=Severity.NOTE,
    stage=Stage.UPSTREAM,
    word="tunnel_cut",
)

UPSTREAM_CERTIFICATE: Final = Problem(
    "CP415",
    "upstream's certificate not accepted",
    "The upstream's certificate has expired, is for another name, or no authority that is trusted has signed it.",
    "The log says which. Renew the certificate; or name its authority with `upstream.tls.ca_file`, its name with `upstream.tls.server_name`.",
    status=502,
    stage=Stage.UPSTREAM,
    detail="The upstream's certificate was not accepted.",
    word="certificate_refused",
    proxy_error="tls_certificate_error",
)

# --- CP5xx: the proxy itself ----------------------------------------------------------------------

INTERNAL_ERROR: Final = Problem(
    "CP501",
    "internal error",
    "A mistake in corsproxy. The log has the traceback.",
    "Please report it.",
    status=500,
    stage=Stage.PROXY,
    detail="The proxy made a mistake.",
    word="internal_error",
    proxy_error="proxy_internal_error",
)
CLIENT_GONE: Final = Problem(
    "CP502",
    "client went away",
    "The client closed its connection before the answer was complete.",
    "Nothing to do.",
    severity=Severity.NOTE,
    word="client_gone",
)
CLIENT_STALLED: Final = Problem(
    "CP506",
    "client stopped reading",
    "The client took no byte of the answer for longer than `limits.body_idle_timeout`.",
    "Look at the client, or raise the limit.",
    severity=Severity.NOTE,
    word="client_stalled",
)
TUNNEL_IDLE: Final = Problem(
    "CP507",
    "WebSocket was idle",
    "No byte went either way for `timeouts.tunnel_idle`, so both connections were closed.",
    "Let the application send pings, or raise the timeout.",
    severity=Severity.NOTE,
    stage=Stage.PROXY,
    word="tunnel_idle",
)
COOKIE_DROPPED: Final = Problem(
    "CP531",
    "browsers drop a cookie of the API",
    "The Set-Cookie line that a client gets breaks a rule of browsers, so the cookie is not kept and the next request comes without it.",
    "Look at `cookies` in the file: `same_site: none` lets a cookie work from another site, over https.",
    severity=Severity.WARNING,
)
ORIGIN_LOST: Final = Problem(
    "CP532",
    "a redirect leaves for another origin",
    "After a hop from one foreign origin to another, browsers send `Origin: null` and no Authorization, so the next server refuses the call.",
    "Let the API redirect inside of itself, or let the script call the other server directly.",
    severity=Severity.NOTE,
)
CANNOT_LISTEN: Final = Problem(
    "CP504",
    "cannot listen",
    "The address is taken, not of this machine, or needs privileges.",
    "Choose another address with `listen`, or stop what uses it.",
)
CANNOT_RUN: Final = Problem(
    "CP505",
    "this installation cannot run",
    "A library is missing, too old or built without its C parser.",
    "Reinstall corsproxy in a fresh virtual environment.",
)
RELOAD_REFUSED: Final = Problem(
    "CP511",
    "new configuration refused",
    "The file has changed, or a reload was asked for, and what it says now is wrong. Nothing of it is in force: the proxy goes on under the configuration that it had.",
    "Mend what the log shows with this line. A changed file is loaded by itself.",
)
NEEDS_RESTART: Final = Problem(
    "CP512",
    "change needs a restart",
    "The file sets a key that cannot change while the proxy runs. The rest of the new configuration is in force, and the key keeps the value that it had at the start.",
    "Restart the proxy, or write the old value again.",
    severity=Severity.WARNING,
)
NOTHING_TO_RELOAD: Final = Problem(
    "CP513",
    "nothing to reload",
    "The proxy was started from flags and environment variables alone. Both are read once, at the start.",
    "Restart the proxy with other flags, or keep the policy in a file.",
    severity=Severity.WARNING,
)
BAD_INHERITED_SOCKET: Final = Problem(
    "CP540",
    "a socket that was handed over cannot be used",
    "The service manager passed descriptors (`LISTEN_FDS`), and one of them is no TCP or unix socket that listens. Connections cannot be accepted from it.",
    "Look at the socket unit: it needs `ListenStream=`, and `Accept=no`.",
)
WORKER_LOST: Final = Problem(
    "CP541",
    "a worker ended",
    "One of the processes that serve has crashed, was ended by somebody, or by the system for want of memory. Its connections were cut; those of the others were not. Another is started in its place.",
    "Look at what the log and the system's own log say of that time.",
)
RELOAD_NOT_TAKEN: Final = Problem(
    "CP542",
    "a worker did not take the new configuration",
    "The others did, so it is in force. This worker ends what it has in flight under the old one, and another takes its place. A certificate file that changes in that very moment does that.",
    "Nothing to do, unless it is said again.",
)
NURSERY_LOST: Final = Problem(
    "CP543",
    "the process that workers are forked from is gone",
    "Without it no worker can be started again, so the proxy ends in order, with exit code 1: whoever started it shall do so once more.",
    "Look at what has ended it: the system's own log tells of a want of memory.",
)

ADMIN_STAYS_OFF: Final = Problem(
    "CP550",
    "the admin listener stays off",
    "Its address is taken, maybe by another corsproxy. One that runs from flags alone serves its clients without health, metrics and reload; one with a file does not start.",
    "Choose another address with `CORSPROXY_ADMIN_LISTEN=127.0.0.1:9877`, or say `CORSPROXY_ADMIN_LISTEN=off`.",
    severity=Severity.WARNING,
    stage=Stage.PROXY,
)

ADMIN_NOT_REACHABLE: Final = Problem(
    "CP551",
    "no running proxy can be asked",
    "The command asks a proxy at its admin listener, and nobody answers there: none runs, it listens elsewhere, or `admin` is off.",
    "Name the admin listener with `--url`; the proxy's log says where it is.",
)
ADMIN_REFUSED: Final = Problem(
    "CP552",
    "the admin listener refused",
    "It is not that of corsproxy, or serves only health and metrics because other machines can reach it.",
    "Let `admin.listen` be a loopback address or a unix socket, or send SIGHUP to the process.",
)
OUT_OF_DESCRIPTORS: Final = Problem(
    "CP544",
    "no file descriptor is left",
    "As many files and connections are open as the system allows this process, so no connection can be made, and new clients wait. It passes by itself when others end.",
    "Raise the limit (`ulimit -n`, `LimitNOFILE=`), or lower `limits.connections` to less than half of it.",
    status=503,
    stage=Stage.PROXY,
    detail="The proxy has no room for another connection. Try again.",
    word="out_of_descriptors",
    proxy_error="connection_limit_reached",
)

LIBRARY_MISSING: Final = Problem(
    "CP521",
    "a library is missing",
    "Running a proxy does not need it, so it is installed only where it is asked for.",
    "Install it: `pip install 'corsproxy[dev-cert]'`.",
)
CANNOT_WRITE: Final = Problem(
    "CP522",
    "a file cannot be written",
    "The directory is not writable for this user, the disk is full, or something else is in the way.",
    "Choose another directory with `--dir`.",
)
AUTHORITY_BROKEN: Final = Problem(
    "CP523",
    "the local authority cannot sign",
    "Its key is missing, is another's, or it has expired. It is never overwritten: browsers that trust it would keep trusting it.",
    "Take `ca.pem` out of every trust store, remove `ca.pem` and `ca-key.pem`, and run it again; or choose another directory with `--dir`.",
)

LINES_LOST: Final = Problem(
    "CP560",
    "log lines were lost",
    "Whoever reads the log took lines more slowly than they came, or took none for a while, and what waits for a reader is bounded. "
    "The proxy never waits for its log.",
    "Look at what reads stdout and stderr; or write less with `log.access: false` or a higher `log.level`.",
    severity=Severity.WARNING,
)
LOG_UNWRITABLE: Final = Problem(
    "CP561",
    "the log cannot be written",
    "The reader of stdout or stderr has gone, or the disk is full. The proxy goes on without those lines.",
    "Mend what stdout or stderr leads to. Lines are written again as soon as that is possible.",
    severity=Severity.WARNING,
)

SPANS_UNAVAILABLE: Final = Problem(
    "CP562",
    "no spans are sent",
    "Variables of OpenTelemetry (`OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_ENDPOINT`) ask for spans, and what sends them is not installed or cannot begin. "
    "Trace context is passed on all the same.",
    "Install it: `pip install 'corsproxy[otel]'`. Or set `OTEL_TRACES_EXPORTER=none` for the proxy.",
    severity=Severity.WARNING,
)
SPANS_LOST: Final = Problem(
    "CP563",
    "spans are lost",
    "The collector cannot be reached, refuses spans, or takes them more slowly than they come. Exchanges do not wait for it.",
    "Look at the collector and at `OTEL_EXPORTER_OTLP_ENDPOINT`; or sample: `OTEL_TRACES_SAMPLER=parentbased_traceidratio`.",
    severity=Severity.WARNING,
)

LEARNING: Final = Problem(
    "CP570",
    "whoever calls is let in while the proxy learns",
    "`corsproxy learn` lets pages of any origin call, or of those that `--origin` names, with cookies, every method and every header, so that what they do can be seen. "
    "Any page that is open in a browser on this machine meanwhile may act as its user at the upstream.",
    "Let it learn in development or staging, with a browser that is open for nothing else, and end it afterwards. `--origin` lets in no others.",
    severity=Severity.WARNING,
)
LEARNS_ON_LOOPBACK: Final = Problem(
    "CP571",
    "a proxy that learns would be reached from other machines",
    "It lets in whoever calls, so it listens on loopback addresses and unix sockets only.",
    "Take `--listen` out, or name a loopback address: `--listen 127.0.0.1:8080`.",
)
NOTHING_LEARNED: Final = Problem(
    "CP572",
    "nothing was learned",
    "No page of another origin called through the proxy, so there is nothing to write a policy from.",
    "Let the page call the address where `corsproxy learn` listens, in the place of the API's, and use it as its users do.",
)


def catalogue() -> dict[str, Problem]:
    """Return every problem by its code, in the order of the codes."""
    return _by_code(value for value in globals().values() if isinstance(value, Problem))


def _by_code(problems: Iterable[Problem]) -> dict[str, Problem]:
    found: dict[str, Problem] = {}
    for problem in sorted(problems, key=lambda p: p.code):
        if problem.code in found:
            raise ValueError(f"two problems share the code {problem.code}")
        found[problem.code] = problem
    return found
