"""Settings that hold by construction: routes sorted by host, and what is prepared once."""

from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import ForwardingSettings, Route, RouteTable, Settings, build_table
from corsproxy.config.upstreams import Upstream

UP = Upstream("http://up", "up", 80, b"up")


def route(path: bytes, *hosts: str) -> Route:
    return Route(path, UP, CorsMode.NONE, hosts=hosts)


def test_without_hosts_there_is_one_list() -> None:
    routes = (route(b"/a"), route(b"/"))

    assert build_table(routes) == RouteTable(routes)
    assert Settings(routes).table == RouteTable(routes)
    assert build_table(()) == RouteTable(())


def test_the_routes_of_a_name_come_before_those_of_wildcards_and_those_before_the_rest() -> None:
    anywhere, wide, narrow, exact = route(b"/z"), route(b"/y", "*.example"), route(b"/x", "*.a.example"), route(b"/w", "b.a.example")
    table = build_table((anywhere, wide, narrow, exact))

    assert table.anywhere == (anywhere,)
    assert table.exact == {b"b.a.example": (exact, narrow, wide, anywhere)}
    assert table.suffixes == ((b".a.example", (narrow, wide, anywhere)), (b".example", (wide, anywhere)))


def test_among_the_routes_of_one_host_the_order_stays() -> None:
    first, second, third = route(b"/long/path", "a.example"), route(b"/long", "a.example"), route(b"/", "a.example")

    assert build_table((first, second, third)).exact[b"a.example"] == (first, second, third)


def test_a_route_of_a_name_and_of_a_wildcard_that_covers_it_is_there_once() -> None:
    both = route(b"/", "a.example", "*.example")

    assert build_table((both,)) == RouteTable((), {b"a.example": (both,)}, ((b".example", (both,)),))


def test_a_wildcard_does_not_cover_its_own_domain() -> None:
    assert build_table((route(b"/", "*.example"), route(b"/a", "example"))).exact == {b"example": (route(b"/a", "example"),)}


def test_names_of_one_route_are_looked_up_each() -> None:
    several = route(b"/", "a.example", "b.example")

    assert build_table((several,)).exact == {b"a.example": (several,), b"b.example": (several,)}


def test_what_is_done_to_a_path_follows_from_the_route() -> None:
    upstream = Upstream("http://up/v1", "up", 80, b"up", b"/v1")

    assert Route(b"/a", upstream, CorsMode.NONE).paths.stripped == b""
    assert Route(b"/a", upstream, CorsMode.NONE, strip_prefix=True).paths.stripped == b"/a"
    assert Route(b"/", upstream, CorsMode.NONE, strip_prefix=True).paths.stripped == b""
    assert Route(b"/a", upstream, CorsMode.NONE).paths.base == b"/v1"


def test_an_upstreams_origin_is_serialized_as_browsers_do() -> None:
    assert Upstream("", "up", 81, b"up:81").origin == b"http://up:81"
    assert Upstream("", "::1", 443, b"[::1]", tls=True).origin == b"https://[::1]"


def test_whatever_a_server_could_read_as_the_id_is_taken_off() -> None:
    ids = ForwardingSettings(request_id_header=b"X-Trace").ids

    assert ids.take_off([(b"x-trace", b""), (b"X_Trace", b""), (b"X-Request-Id", b"")]) == [(b"X-Request-Id", b"")]
    assert ids.lines == ()
