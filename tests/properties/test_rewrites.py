"""Rewrites of what an upstream and a client wrote: the inverse of the way in, once and no more, and never a door to elsewhere."""

import re
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from corsproxy.semantics.cookies import CookieFault, CookieRules, PathMap, cookie_fault, cookie_name, rewrite_set_cookie
from corsproxy.semantics.forwarded import ForwardedMode, Hop, forwarded_lines, read_client
from corsproxy.semantics.networks import parse_network, trusts_in
from corsproxy.semantics.redirects import Places, leaves, rewrite_location, rewrite_refresh, upstream_authorities
from corsproxy.semantics.trace import begin, is_request_id, parse_traceparent

BOUNDED = settings(deadline=None)
MOST_BYTES = 200

PREFIXES = st.sampled_from([b"", b"/a", b"/b", b"/a/b", b"/a/a"])


# --- cookies --------------------------------------------------------------------------------------


class Cookie(NamedTuple):
    """What a browser keeps of a Set-Cookie line."""

    pair: bytes
    same_site: bytes
    secure: bool
    partitioned: bool
    domain: bytes
    path: bytes
    others: list[bytes]


def browser_reads(line: bytes) -> Cookie:
    """Read a line as RFC 6265bis 5.6 and 5.7 tell it, written from their text."""
    pair, _, rest = line.partition(b";")
    kept: dict[bytes, bytes] = {}
    others = []
    while rest:
        attribute, _, rest = rest.partition(b";")
        name, _, value = attribute.partition(b"=")
        name, value = name.strip(b" \t").lower(), value.strip(b" \t")
        if name in (b"samesite", b"secure", b"partitioned", b"domain", b"path"):
            if len(value) <= 1024:
                kept[name] = value
        elif attribute.strip(b" \t"):
            others.append(attribute)
    same_site = kept.get(b"samesite", b"").lower()
    return Cookie(
        pair,
        same_site if same_site in (b"none", b"lax", b"strict") else b"",
        b"secure" in kept,
        b"partitioned" in kept,
        kept.get(b"domain", b""),
        kept.get(b"path", b""),
        others,
    )


COOKIE_PATHS = st.lists(st.sampled_from([b"/", b"a", b"b", b"/a", b"c"]), max_size=4).map(b"".join)
ATTRIBUTES = st.one_of(
    st.sampled_from(
        [b"Secure", b"secure = x", b"HttpOnly", b"Partitioned", b"SameSite", b"samesite=none", b"SAMESITE = Lax", b"Domain=", b"domain=x"]
    ),
    st.sampled_from(
        [b"Expires=Wed, 09 Jun 2030 10:18:14 GMT", b"", b" ", b"=", b"Max-Age=1", b"Path=" + b"/a" * 513, b"Secure=" + b"x" * 1025]
    ),
    st.builds(b"%b=%b".__mod__, st.tuples(st.sampled_from([b"Path", b" path ", b"PATH"]), COOKIE_PATHS)),
    st.binary(max_size=6),
)
COOKIES = st.builds(
    lambda pair, attributes, glue: glue.join([pair, *attributes]),
    st.one_of(st.sampled_from([b"a=1", b"__Host-a=1", b"__HOST-a", b"__Secure-a=1", b"=", b"", b' a = "\xff" ']), st.binary(max_size=8)),
    st.lists(ATTRIBUTES, max_size=6),
    st.sampled_from([b";", b"; ", b" ;\t"]),
)
RULES = st.builds(
    CookieRules,
    same_site=st.sampled_from([b"", b"None", b"Lax", b"Strict"]),
    secure=st.booleans(),
    partitioned=st.booleans(),
    domain=st.sampled_from([None, b"", b"x", b"example.com"]),
    path=st.booleans(),
)
MAPS = st.builds(PathMap, PREFIXES, PREFIXES)


@BOUNDED
@given(COOKIES, RULES, MAPS)
def test_a_browser_reads_what_the_rules_say_and_all_else_as_before(line: bytes, rules: CookieRules, paths: PathMap) -> None:
    before = browser_reads(line)
    assume(before.pair.strip(b" \t") not in (b"", b"=") and before.pair.replace(b" ", b"").replace(b"\t", b"") != b"=")
    after = browser_reads(rewrite_set_cookie(line, rules, paths))
    is_host = cookie_name(line).lower().startswith(b"__host-")
    implied = rules.secure or rules.partitioned or rules.same_site == b"None"

    assert after.pair == before.pair
    assert after.others == before.others
    assert after.same_site == (rules.same_site.lower() or before.same_site)
    assert after.secure == (before.secure or implied)
    assert after.partitioned == (before.partitioned or rules.partitioned)
    replaced = b"" if rules.domain == b"" or not before.domain else rules.domain
    assert after.domain == (before.domain if is_host or replaced is None else replaced)
    if is_host or not rules.path or not before.path.startswith(b"/"):
        assert after.path == before.path


@BOUNDED
@given(COOKIES, RULES, MAPS)
@example(b"a=1; Domain=x; Domain=", CookieRules(domain=b"y"), PathMap())
@example(b"a=1;;", CookieRules(secure=True, partitioned=True), PathMap())
def test_a_cookie_rewritten_twice_is_a_cookie_rewritten_once(line: bytes, rules: CookieRules, paths: PathMap) -> None:
    """The second time, its path is seen from outside already: nothing is left to map."""
    once = rewrite_set_cookie(line, rules, paths)

    assert rewrite_set_cookie(once, rules, PathMap()) is once


@BOUNDED
@given(COOKIES, RULES, MAPS)
def test_a_line_that_does_not_change_is_the_same_object(line: bytes, rules: CookieRules, paths: PathMap) -> None:
    rewritten = rewrite_set_cookie(line, rules, paths)

    assert rewritten is line or rewritten != line


@BOUNDED
@given(COOKIES, RULES, MAPS, st.booleans())
def test_a_cookie_that_a_browser_keeps_is_kept_when_rewritten(line: bytes, rules: CookieRules, paths: PathMap, secure: bool) -> None:  # noqa: FBT001
    """Secure on a plain http page is what its rule asked for."""
    assume(cookie_fault(line, is_secure_transport=secure) is None)
    after = cookie_fault(rewrite_set_cookie(line, rules, paths), is_secure_transport=secure)

    assert after is None or (after is CookieFault.SECURE_OVER_HTTP and not secure)


def covers(cookie_path: bytes, path: bytes) -> bool:
    """Path-match, RFC 6265bis 5.1.4."""
    return path == cookie_path or (path.startswith(cookie_path) and (cookie_path.endswith(b"/") or path[len(cookie_path)] == ord("/")))


@BOUNDED
@given(MAPS, st.builds(b"/".__add__, COOKIE_PATHS), COOKIE_PATHS)
@example(PathMap(b"", b"/a"), b"/", b"")
@example(PathMap(b"/a/b", b""), b"/a", b"/x")
def test_a_cookie_comes_back_wherever_the_upstream_would_get_it(paths: PathMap, cookie_path: bytes, rest: bytes) -> None:
    """For each public path and its counterpart: at the upstream covered, so outside covered."""
    assume(not rest or rest.startswith(b"/"))
    asked, upstream = paths.stripped + rest or b"/", paths.base + (rest or b"/")
    found = browser_reads(rewrite_set_cookie(b"a=1; Path=" + cookie_path, CookieRules(), paths)).path

    if covers(cookie_path, upstream) and paths.base != paths.stripped:
        assert covers(found, asked)


@BOUNDED
@given(st.binary(max_size=MOST_BYTES))
def test_any_bytes_are_some_cookie(line: bytes) -> None:
    name = cookie_name(line)
    rewrite_set_cookie(line, CookieRules(b"None", domain=b"x", partitioned=True), PathMap(b"/a", b"/b"))
    cookie_fault(line, is_secure_transport=False, host=b"a.example", is_cross_site=True)

    assert b";" not in name
    assert b"=" not in name


# --- redirects ------------------------------------------------------------------------------------


def browser_goes(value: bytes, origin: bytes, path: bytes = b"/dir/page") -> tuple[bytes, bytes]:
    """
    Say where a browser goes from `origin + path`: the origin, and path with query and fragment.

    Written from the text of the URL Standard's parser, for special URLs; what fails to parse goes to "failure".
    """
    text = value.strip(bytes(range(0x21))).translate(None, b"\t\n\r")
    scheme = origin.partition(b"://")[0]
    match = re.match(rb"([A-Za-z][A-Za-z0-9+.-]*):", text)
    if match is not None:
        named = match.group(1).lower()
        if named not in (b"http", b"https"):
            return named, b""
        text = text[match.end() :]
        if named != scheme or re.match(rb"[/\\]{2}", text):
            return browser_reads_host(named, text.lstrip(b"/\\"))
    elif re.match(rb"[/\\]{2}", text):
        return browser_reads_host(scheme, text.lstrip(b"/\\"))
    elif re.match(rb"[?#]|\Z", text):
        return origin, path + text
    if re.match(rb"[?#]|\Z", text):
        return origin, path + text
    start = b"" if text[:1] in (b"/", b"\\") else path.rpartition(b"/")[0] + b"/"
    return origin, browser_reads_path(start + text)


def browser_reads_host(scheme: bytes, text: bytes) -> tuple[bytes, bytes]:
    end = re.search(rb"[/\\?#]|\Z", text)
    assert end is not None
    authority = text[: end.start()].rpartition(b"@")[2].lower()
    match = re.fullmatch(rb"([^:]+|\[[^\]]*\]):?([0-9]*)", authority)
    if match is None:
        return b"failure", b""
    port = match.group(2).lstrip(b"0")
    shown = b"" if port in (b"", {b"http": b"80", b"https": b"443"}[scheme]) else b":" + port
    return scheme + b"://" + match.group(1) + shown, browser_reads_path(text[end.start() :])


def browser_reads_path(text: bytes) -> bytes:
    end = re.search(rb"[?#]|\Z", text)
    assert end is not None
    out: list[bytes] = []
    segments = text[: end.start()].replace(b"\\", b"/").removeprefix(b"/").split(b"/")
    for place, segment in enumerate(segments):
        dots = re.sub(rb"%2[Ee]", b".", segment)
        is_last = place == len(segments) - 1
        if dots == b"..":
            out = out[:-1]
        elif dots != b".":
            out.append(segment)
        if is_last and dots in (b".", b".."):
            out.append(b"")
    return b"/" + b"/".join(out) + text[end.start() :]


UPSTREAM = b"http://legacy:8080"
PUBLIC = b"https://api.example"
AUTHORITIES = upstream_authorities(b"legacy:8080", False, b"legacy:8080")
PLACES = st.builds(Places, st.just(AUTHORITIES), PREFIXES, PREFIXES, st.sampled_from([b"", PUBLIC]))
PIECES = [
    b"/",
    b"/",
    b"/a",
    b"/b",
    b"\\",
    b"\t",
    b" ",
    b"..",
    b".",
    b"%2e",
    b"a",
    b"x",
    b"?",
    b"#",
    b"@",
    b":",
    b";",
    b"\x01",
    b"\xff",
    b"http:",
    b"HTTPS:",
    b"//",
    b"legacy:8080",
    b"Legacy:08080",
    b"evil.example",
    b"http://legacy:8080",
    b"https://legacy:8080",
    b"//legacy:8080",
    b"https://api.example",
]
REFERENCES = st.lists(st.sampled_from(PIECES), max_size=7).map(b"".join)


def asked_of_upstream(path: bytes, places: Places) -> bytes:
    """What the upstream is asked for when the client asks for that path: the way in."""
    rest = path.removeprefix(places.stripped)
    return places.base + (rest if rest.startswith(b"/") else b"/" + rest)


@BOUNDED
@given(REFERENCES, PLACES)
@example(b"/a//evil.example", Places(AUTHORITIES, b"/a"))
@example(b"/a/\t\\evil.example", Places(AUTHORITIES, b"/a"))
@example(b"http://legacy:8080//evil.example", Places(AUTHORITIES))
@example(b"/.//evil.example", Places(AUTHORITIES, b"", b"/a"))
@example(b"/a/%2e%2e//evil.example", Places(AUTHORITIES, b"/a"))
def test_what_leads_to_the_upstream_leads_to_us_and_nothing_else_changes(value: bytes, places: Places) -> None:
    """No spelling of a reference opens a way to a third place that was not its own already."""
    upstream_origin, upstream_path = browser_goes(value, UPSTREAM)
    rewritten = rewrite_location(value, places)
    origin, path = browser_goes(rewritten, PUBLIC)

    if rewritten is value:
        return
    assert upstream_origin in (UPSTREAM, UPSTREAM.replace(b"http", b"https"))
    assert origin == PUBLIC
    tail = re.search(rb"[?#].*|\Z", upstream_path, re.DOTALL)
    assert tail is not None
    assert path.endswith(tail.group())
    # The way in leads to where the upstream pointed; a base's last slash is all that may differ.
    back = asked_of_upstream(path[: len(path) - len(tail.group())], places)
    assert back.removesuffix(b"/") == upstream_path[: tail.start()].removesuffix(b"/")


@BOUNDED
@given(REFERENCES, PLACES)
def test_what_names_another_host_is_the_same_object(value: bytes, places: Places) -> None:
    if browser_goes(value, UPSTREAM)[0] not in (UPSTREAM, UPSTREAM.replace(b"http", b"https")):
        assert rewrite_location(value, places) is value


@BOUNDED
@given(REFERENCES, PLACES)
def test_a_reference_rewritten_twice_is_a_reference_rewritten_once(value: bytes, places: Places) -> None:
    """The second time it is seen from outside, where base and prefix are one; so it is too where the request's path was left alone."""
    once = rewrite_location(value, places)
    outside = Places(frozenset(), places.stripped, places.stripped, places.public)

    assert rewrite_location(once, outside) is once
    if places.base == places.stripped and once is not value:
        assert rewrite_location(once, places) is once


@BOUNDED
@given(REFERENCES, PLACES)
def test_a_path_that_is_not_below_the_base_any_more_is_left_alone(value: bytes, places: Places) -> None:
    """The whole of what can be promised: a path below the base is one to map, whoever has written it."""
    assume(places.base and not (places.stripped + b"/").startswith(places.base + b"/"))
    once = rewrite_location(value, places)
    path = browser_goes(once, PUBLIC)[1]
    is_below = re.match(re.escape(places.base) + rb"(?=[/?#]|\Z)", path) is not None

    assert rewrite_location(once, places) is once or is_below


@BOUNDED
@given(REFERENCES, PLACES)
def test_a_redirect_stays_or_is_said_to_leave(value: bytes, places: Places) -> None:
    rewritten = rewrite_location(value, places)

    if not leaves(value, places, [PUBLIC]):
        assert browser_goes(rewritten, PUBLIC)[0] == PUBLIC


@BOUNDED
@given(
    REFERENCES.filter(lambda url: b"'" not in url),
    PLACES,
    st.sampled_from([b"5; url=", b"0;URL = ", b" .5 , ", b"1 url='", b'2;url="']),
)
def test_a_refresh_holds_a_reference_like_any_other(url: bytes, places: Places, start: bytes) -> None:
    assume(not url[:1].isspace())
    end = start[-1:] if start[-1:] in (b"'", b'"') else b""

    assert rewrite_refresh(start + url + end, places) == start + rewrite_location(url, places) + end


@BOUNDED
@given(st.binary(max_size=MOST_BYTES), st.binary(max_size=20), PLACES)
def test_any_bytes_are_some_reference(value: bytes, host: bytes, places: Places) -> None:
    upstream_authorities(host, True, value)
    leaves(value, places, [host])
    rewrite_refresh(value, places)
    rewrite_location(value, places)


# --- forwarding fields ----------------------------------------------------------------------------


TRUSTED = ip_network("10.0.0.0/8")
TRUSTS = trusts_in([TRUSTED])
ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.integers(1, 250).map("10.0.0.{}".format),
    st.integers(1, 250).map("::ffff:10.0.0.{}".format),
)
ELEMENTS = st.one_of(
    ADDRESSES.map(str.encode), st.sampled_from([b"unknown", b"", b"x", b"[::1]:80", b"10.0.0.1:80"]), st.binary(max_size=6)
)
HOPS = st.builds(Hop, ADDRESSES, st.booleans(), st.sampled_from([b"api.example", b"api.example:8080", b"[::1]", b"", b"a,b"]))
PAIRS = st.builds(
    b"%b=%b".__mod__,
    st.tuples(
        st.sampled_from([b"for", b"For", b"by", b"host", b"proto", b"x"]),
        st.one_of(ELEMENTS, ELEMENTS.map(b'"%b"'.__mod__), st.sampled_from([b'"[::1]"', b'"a:80"', b"https", b"_x", b'"\\"', b'"'])),
    ),
)
FORWARDED = st.lists(st.lists(PAIRS, max_size=3).map(b";".join), max_size=4).map(b", ".join)
NOTED = st.fixed_dictionaries(
    {},
    optional={
        b"x-forwarded-for": st.lists(st.lists(ELEMENTS, max_size=4).map(b", ".join), min_size=1, max_size=3),
        b"x-forwarded-proto": st.lists(st.sampled_from([b"http", b"https", b"https, http", b"WSS", b"x", b""]), min_size=1, max_size=2),
        b"x-forwarded-host": st.lists(
            st.one_of(st.sampled_from([b"a.example:443", b"a, b"]), st.binary(max_size=6)), min_size=1, max_size=2
        ),
        b"x-forwarded-port": st.lists(st.one_of(st.sampled_from([b"443", b"0"]), st.binary(max_size=3)), min_size=1, max_size=2),
        b"x-forwarded-prefix": st.lists(st.one_of(st.sampled_from([b"/a", b"//a"]), st.binary(max_size=3)), min_size=1, max_size=2),
        b"forwarded": st.lists(st.one_of(FORWARDED, st.binary(max_size=20)), min_size=1, max_size=2),
    },
)
MODES = st.sampled_from(ForwardedMode)
FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


@BOUNDED
@given(NOTED, HOPS, MODES)
def test_a_client_is_an_address_and_a_stranger_speaks_for_himself(noted: dict[bytes, list[bytes]], hop: Hop, mode: ForwardedMode) -> None:
    facts = read_client(noted, hop, TRUSTS, mode)

    assert str(ip_address(facts.address.decode())).encode() == facts.address
    assert facts.proto in (b"http", b"https")
    if not TRUSTS(hop.peer):
        assert facts == read_client({}, hop, TRUSTS, mode)


@BOUNDED
@given(NOTED, HOPS, MODES, ELEMENTS)
def test_what_a_client_puts_before_an_honest_proxy_s_word_moves_nothing(
    noted: dict[bytes, list[bytes]], hop: Hop, mode: ForwardedMode, forged: bytes
) -> None:
    honest = {b"x-forwarded-for": [b"192.0.2.1"], b"x-forwarded-proto": [b"https"]}
    forging = {b"x-forwarded-for": [forged, *noted.get(b"x-forwarded-for", ()), b"192.0.2.1"], b"x-forwarded-proto": [b"http, https"]}
    found, expected = (read_client(fields, hop, TRUSTS, mode) for fields in (forging, honest))

    assert (found.address, found.proto) == (expected.address, expected.proto)


@BOUNDED
@given(NOTED, HOPS, MODES)
def test_what_is_told_can_be_sent_and_is_read_by_the_next_proxy_alike(
    noted: dict[bytes, list[bytes]], hop: Hop, mode: ForwardedMode
) -> None:
    facts = read_client(noted, hop, TRUSTS, mode)
    lines = forwarded_lines(mode, hop, facts, prefix=b"/p", port=8080)
    next_noted = {name.lower(): [value] for name, value in lines}
    next_facts = read_client(next_noted, Hop("10.9.9.9", False, b"proxy"), TRUSTS, mode)

    assert len(next_noted) == len(lines)
    assert all(FIELD_VALUE.fullmatch(value) for _, value in lines)
    # The word that hides a node hides it from the next one too.
    if mode is not ForwardedMode.NONE and len(facts.told.nodes) < 32 and not (facts.told.elements and len(facts.told.elements) > 3900):
        assert next_facts.address == facts.address


@BOUNDED
@given(st.text(max_size=30))
def test_any_text_is_a_network_or_none(text: str) -> None:
    found = parse_network(text)

    assert found is None or parse_network(str(found)) == found


# --- ids ------------------------------------------------------------------------------------------


IDS = (
    st.text("0123456789abcdef", min_size=48, max_size=48).map(str.encode).filter(lambda ids: ids[:32].strip(b"0") and ids[32:].strip(b"0"))
)


@BOUNDED
@given(IDS, st.booleans())
def test_a_trace_that_begins_here_is_read_elsewhere(ids: bytes, sampled: bool) -> None:  # noqa: FBT001
    found = parse_traceparent([begin(ids[:32], ids[32:], sampled=sampled)[1]])

    assert found is not None
    assert (found.trace_id + found.parent_id, found.flags) == (ids, int(sampled))
    assert is_request_id(ids)
