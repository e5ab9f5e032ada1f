"""What routes do to messages, through the plan and the edits as a whole, against specifications that anybody can read."""

from collections.abc import Sequence

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from corsproxy import routes
from corsproxy.answers import Context
from corsproxy.config.choices import CorsMode, Redirects
from corsproxy.config.settings import ForwardingSettings, HostRules, Route, Settings, build_table
from corsproxy.config.upstreams import Upstream
from corsproxy.edits import Received, receive, render
from corsproxy.plan import Forward, plan
from corsproxy.semantics.cookies import CookieRules
from corsproxy.semantics.fields import FieldLine, RequestHead, ResponseHead
from corsproxy.semantics.forwarded import ForwardedMode
from corsproxy.semantics.framing import Refusal
from corsproxy.semantics.rules import NO_RULES, HeaderRules, compile_rules
from tests.unit.planned import CLIENT, FRESH

BOUNDED = settings(deadline=None)
UP = Upstream("http://legacy:8080/v1", "legacy", 8080, b"legacy:8080", b"/v1")
QUIET = ForwardingSettings(ForwardedMode.NONE)


def planned(route: Route, target: bytes, lines: Sequence[FieldLine] = ()) -> Context | Refusal | Forward:
    head = RequestHead(b"GET", target, 1, [(b"Host", b"api.example"), *lines])
    found = plan(Settings((route,), pseudonym=b"", forwarding=QUIET, hosts=HostRules(any_host=True)), head, CLIENT, FRESH)
    return found if isinstance(found, Forward) else found.context


def lines_of(head: bytes) -> list[FieldLine]:
    found = head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
    return [(name, value) for line in found for name, _, value in [line.partition(b": ")]]


def answered(route: Route, lines: Sequence[FieldLine], status: int) -> list[FieldLine]:
    """Return the lines that a client gets for an upstream's, those of the proxy's own left out."""
    forward = planned(route, b"/reports/x")
    assert isinstance(forward, Forward)
    received = receive(forward.context, ResponseHead(status, b"x", 1, [*lines, (b"Content-Length", b"0"), (b"Date", b"d")]))
    assert isinstance(received, Received)
    got = lines_of(render(forward.context, received, b"now", close=False))
    return [line for line in got if line not in ((b"Content-Length", b"0"), (b"Date", b"d"), (b"X-Request-Id", FRESH.request_id))]


# --- responses that do not name the upstream ------------------------------------------------------


VALUES = st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0").strip(b" \t"))
# Neither path-only nor at the upstream's authority.
FOREIGN = st.one_of(
    st.builds(
        b"%b%b%b".__mod__,
        st.tuples(
            st.sampled_from(
                [b"https://elsewhere.example", b"//elsewhere.example:8080", b"http://legacy", b"http://legacy:81", b"x:", b"?", b"#", b"v1"]
            ),
            st.sampled_from([b"", b"/", b"/v1/", b"?a=http://legacy:8080/v1/", b"#/v1"]),
            VALUES.filter(lambda value: not value.startswith((b":", b"@", b"."))),
        ),
    ),
    st.sampled_from(
        [b"", b"http://legacy:8080.evil.example/v1/", b"http://legacy:8080@evil.example/v1/", b"https:legacy", b"\\\\legacy:8080\\v1"]
    ),
)
REFERENCE_LINES = st.tuples(st.sampled_from([b"Location", b"content-location", b"LOCATION"]), FOREIGN)
# A Path that the base does not touch, or none.
COOKIE_LINES = st.tuples(
    st.sampled_from([b"Set-Cookie", b"set-cookie"]),
    st.builds(
        b"%b=%b%b".__mod__,
        st.tuples(
            st.sampled_from([b"sid", b"__Host-a", b"", b" b "]),
            VALUES.filter(lambda value: b";" not in value),
            st.sampled_from([b"", b"; Path=/other", b";path=relative", b"; Domain=x; HttpOnly", b";;", b"; SameSite=Odd"]),
        ),
    ),
)
OTHER_LINES = st.tuples(st.sampled_from([b"X-A", b"Link", b"Server", b"x_location", b"Vary"]), VALUES)


@BOUNDED
@given(
    st.lists(st.one_of(REFERENCE_LINES, COOKIE_LINES, OTHER_LINES), max_size=6),
    st.sampled_from([200, 201, 302, 308, 404]),
    st.booleans(),
    st.booleans(),
)
def test_what_does_not_name_the_upstream_comes_out_as_it_went_in(
    lines: list[FieldLine],
    status: int,
    strips: bool,  # noqa: FBT001
    passes: bool,  # noqa: FBT001
) -> None:
    route = Route(b"/reports", UP, CorsMode.PASSTHROUGH if passes else CorsMode.NONE, strip_prefix=strips)

    assert answered(route, lines, status) == lines


@BOUNDED
@given(st.lists(st.tuples(st.sampled_from([b"Location", b"Refresh", b"Content-Location", b"Set-Cookie", b"X-A"]), VALUES), max_size=6))
@example([(b"Location", b"http://legacy:8080/v1/x"), (b"Refresh", b"0;url=/v1"), (b"Set-Cookie", b"a=b; Path=/v1")])
def test_where_all_is_to_be_kept_all_is_kept(lines: list[FieldLine]) -> None:
    route = Route(b"/reports", UP, CorsMode.NONE, strip_prefix=True, redirects=Redirects.KEEP, cookies=CookieRules(path=False))

    assert answered(route, lines, 302) == lines


# --- header rules ---------------------------------------------------------------------------------


NAMES = st.sampled_from([b"X-A", b"x-a", b"X_A", b"X.a", b"X-B", b"X-AB", b"X-C", b"x_c"])
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b"1", b"2", b""])), max_size=6)


class Written:
    """Rules as a file writes them: names to remove, lines to set and lines to add. One name is set once."""

    def __init__(self, remove: list[bytes], replace: list[FieldLine], add: list[FieldLine]) -> None:
        self.remove, self.add = remove, add
        self.replace = list({name.lower(): (name, value) for name, value in replace}.values())

    def __repr__(self) -> str:
        return f"Written({self.remove}, {self.replace}, {self.add})"

    def compiled(self, after: HeaderRules = NO_RULES) -> HeaderRules:
        return compile_rules(self.remove, self.replace, self.add, after=after)

    def applied(self, lines: list[FieldLine]) -> list[FieldLine]:
        """One rule after the other, as the documentation tells it; what CGI reads alike is alike."""
        gone = [cgi(name) for name in self.remove] + [cgi(name) for name, _ in self.replace]
        return [line for line in lines if cgi(line[0]) not in gone] + self.replace + self.add


def cgi(name: bytes) -> bytes:
    return name.upper().replace(b"-", b"_").replace(b".", b"_")


RULES = st.builds(Written, st.lists(NAMES, max_size=3), LINES, LINES)


@BOUNDED
@given(RULES, RULES, RULES, LINES)
def test_composed_rules_are_one_set_of_rules_after_the_other(
    first: Written, second: Written, third: Written, lines: list[FieldLine]
) -> None:
    composed = third.compiled(second.compiled(first.compiled()))

    assert composed.apply(lines) == third.applied(second.applied(first.applied(lines)))
    assert composed.apply(lines) == composed.apply(lines)


@BOUNDED
@given(RULES, RULES, LINES)
def test_a_routes_rules_reach_the_upstream_and_the_client(first: Written, second: Written, lines: list[FieldLine]) -> None:
    rules = second.compiled(first.compiled())
    route = Route(b"/", UP, CorsMode.NONE, request_headers=rules, response_headers=rules)
    expected = second.applied(first.applied(lines))
    forward = planned(route, b"/x", lines)

    assert isinstance(forward, Forward)
    assert lines_of(forward.head)[1:-1] == expected
    assert answered(route, lines, 200) == expected


# --- routes by host -------------------------------------------------------------------------------


HOSTS = st.sampled_from(["a.example", "b.a.example", "*.example", "*.a.example", "*.b.a.example", "other.test", "[::1]"])
PATHS = st.sampled_from([b"/", b"/a", b"/a/b", b"/ab", b"/a/b/c"])
AUTHORITIES = st.sampled_from(
    [
        b"a.example",
        b"A.EXAMPLE:80",
        b"b.a.example",
        b"b.a.example.",
        b"c.b.a.example:",
        b"x.example.:8080",
        b"example",
        b"other.test",
        b"[::1]:1",
        b"",
    ]
)


@st.composite
def route_lists(draw: st.DrawFn) -> tuple[Route, ...]:
    """Draw routes as settings hold them: no path twice on one host, longer paths first, the order of the file among equals."""
    found: list[Route] = []
    seen: set[tuple[bytes, str]] = set()
    for number, (path, hosts) in enumerate(draw(st.lists(st.tuples(PATHS, st.lists(HOSTS, max_size=2, unique=True)), max_size=8))):
        places = {(path, host) for host in hosts or [""]}
        if not seen & places:
            seen |= places
            upstream = Upstream(str(number), "up", number, b"up")
            found.append(Route(path, upstream, CorsMode.NONE, hosts=tuple(hosts)))
    return tuple(sorted(found, key=lambda route: -len(route.path)))


def names_of(authority: bytes) -> list[str]:
    """The name that an authority has, and the same without its dot."""
    host = authority.decode().lower()
    if not host.endswith("]"):
        host = host.rpartition(":")[0] if ":" in host else host
    return list(dict.fromkeys([host, host.removesuffix(".")]))


def chosen(listed: Sequence[Route], authority: bytes, path: bytes) -> Route | None:
    """Hosts first, the exact before wildcards, the longest wildcard first; then the longest path."""

    def rank(route: Route) -> int:
        """How well a route's host fits: 0 for any, -1 for another."""
        if not route.hosts:
            return 0
        ranks = [-1]
        for pattern in route.hosts:
            for name in names_of(authority):
                if pattern == name:
                    ranks.append(1000)
                elif pattern.startswith("*.") and name.endswith(pattern[1:]) and len(name) >= len(pattern):
                    ranks.append(len(pattern))
        return max(ranks)

    fitting = [route for route in listed if rank(route) >= 0 and (route.path in (b"/", path) or path.startswith(route.path + b"/"))]
    return max(fitting, key=lambda route: (rank(route), len(route.path)), default=None)


@BOUNDED
@given(route_lists(), AUTHORITIES, st.sampled_from([b"/", b"/a", b"/a/", b"/a/b", b"/ab/c", b"/a/b/c/d", b"/c"]))
def test_a_request_finds_the_route_of_the_plain_rule(listed: tuple[Route, ...], authority: bytes, path: bytes) -> None:
    found = routes.match(routes.for_host(build_table(listed), authority), path)

    assert (None if isinstance(found, Refusal) else found) == chosen(listed, authority, path)


# --- prefixes -------------------------------------------------------------------------------------


TAILS = st.text("abc/%2eE.;:@?&=+~!$'()*,-_", max_size=20).map(str.encode)


@BOUNDED
@given(TAILS, st.sampled_from([b"", b"/v1", b"/a"]), st.sampled_from([b"/a", b"/a/b", b"/v1"]), st.booleans(), st.booleans())
@example(b"//evil.example", b"", b"/a", True, False)
@example(b"/x/../../a", b"/v1", b"/a", True, False)
def test_a_stripped_prefix_takes_every_other_byte_along(
    tail: bytes,
    base: bytes,
    prefix: bytes,
    strips: bool,  # noqa: FBT001
    is_absolute: bool,  # noqa: FBT001
) -> None:
    assume(tail[:1] in (b"", b"/", b"?"))
    upstream = Upstream("u", "up", 80, b"up", base)
    route = Route(prefix, upstream, CorsMode.NONE, strip_prefix=strips)
    found = planned(route, (b"http://api.example" if is_absolute else b"") + prefix + tail)
    # A path that some server reads as another route's, or as one above the upstream's own, goes nowhere.
    assume(isinstance(found, Forward))
    assert isinstance(found, Forward)
    sent = found.head.split(b" ", 2)[1]

    kept = tail if strips else prefix + tail
    assert sent == base + (kept if kept.startswith(b"/") else b"/" + kept)
