"""X-Forwarded-* and Forwarded: who the client is, and what the upstream is told."""

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any

import pytest

from corsproxy.semantics.forwarded import (
    MAX_BYTES,
    MAX_ELEMENTS,
    ClientFacts,
    ForwardedMode,
    Hop,
    forwarded_lines,
    read_client,
)
from corsproxy.semantics.networks import UNIX, trusts_in


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


TRUSTS: Callable[[str], bool] = trusts_in([ip_network("10.0.0.0/8"), ip_network("fd00::/8")], unix=True)
HOP = Hop("10.0.0.1", False, b"api.example:8080")
STRANGER = Hop("192.0.2.9", False, b"api.example:8080")
LOCAL = Hop(UNIX, False, b"localhost")


def noted(*lines: tuple[bytes, bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        found.setdefault(name, []).append(value)
    return found


def for_(*values: bytes) -> dict[bytes, list[bytes]]:
    return noted(*((b"x-forwarded-for", value) for value in values))


def sent(
    fields: dict[bytes, list[bytes]],
    hop: Hop = HOP,
    mode: ForwardedMode = ForwardedMode.X_FORWARDED,
    prefix: bytes = b"",
    port: int = 8080,
) -> dict[bytes, bytes]:
    lines = forwarded_lines(mode, hop, read_client(fields, hop, TRUSTS, mode), prefix=prefix, port=port)
    found = dict(lines)
    assert len(found) == len(lines)
    return found


@table(
    {
        "no field": ([], b"10.0.0.1"),
        "one address": ([b"192.0.2.1"], b"192.0.2.1"),
        "what the client made up is not read": ([b"203.0.113.5, 192.0.2.1"], b"192.0.2.1"),
        "trusted proxies are passed over": ([b"192.0.2.1, 10.0.0.3, 10.0.0.2"], b"192.0.2.1"),
        "several lines are one list": ([b"203.0.113.5", b"192.0.2.1", b"10.0.0.2"], b"192.0.2.1"),
        "all are trusted: the farthest": ([b"10.0.0.3,10.0.0.2"], b"10.0.0.3"),
        "what is no address stops the walk": ([b"203.0.113.5, gibberish, 10.0.0.2"], b"10.0.0.2"),
        "`unknown` stops the walk": ([b"203.0.113.5, unknown, 10.0.0.2"], b"10.0.0.2"),
        "`unknown` alone": ([b"Unknown"], b"10.0.0.1"),
        "no address at all": ([b"gibberish"], b"10.0.0.1"),
        "empty elements": ([b", 192.0.2.1 ,,"], b"192.0.2.1"),
        "a port": ([b"192.0.2.1:4711"], b"192.0.2.1"),
        "IPv6": ([b"2001:DB8:0::1"], b"2001:db8::1"),
        "IPv6 in brackets": ([b"[2001:db8::1]"], b"2001:db8::1"),
        "IPv6 with a port": ([b"[2001:db8::1]:4711"], b"2001:db8::1"),
        "an open bracket": ([b"[2001:db8::1"], b"10.0.0.1"),
        "IPv4 in IPv6 that is trusted": ([b"192.0.2.1, ::ffff:10.0.0.2"], b"192.0.2.1"),
        "a scope": ([b"fe80::1%eth0"], b"10.0.0.1"),
        "an odd form of IPv4": ([b"0x7f.1"], b"10.0.0.1"),
        "bytes outside of ASCII": ([b"192.0.2.\xb2"], b"10.0.0.1"),
        "our own word for a local peer": ([b"unix"], b"10.0.0.1"),
    }
)
def test_the_client_is_the_rightmost_address_that_is_not_trusted(case: Any) -> None:
    values, expected = case

    assert read_client(for_(*values), HOP, TRUSTS).address == expected


def test_a_stranger_is_not_listened_to() -> None:
    fields = noted(
        (b"x-forwarded-for", b"10.0.0.7"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"evil.example"),
        (b"x-forwarded-port", b"443"),
        (b"x-forwarded-prefix", b"/evil"),
        (b"forwarded", b"for=10.0.0.7"),
    )

    assert read_client(fields, STRANGER, TRUSTS) == ClientFacts(b"192.0.2.9", b"http", b"api.example:8080", is_certain=False)
    assert sent(fields, STRANGER, ForwardedMode.BOTH) == {
        b"X-Forwarded-For": b"192.0.2.9",
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Host": b"api.example:8080",
        b"X-Forwarded-Port": b"8080",
        b"Forwarded": b'for=192.0.2.9;host="api.example:8080";proto=http',
    }


@table(
    {
        "plain, and nobody says more": (Hop("192.0.2.9", False, b"a"), (), (b"http", False)),
        "our own TLS": (Hop("192.0.2.9", True, b"a"), (), (b"https", True)),
        "a trusted proxy's word": (HOP, ((b"x-forwarded-proto", b"HTTPS"),), (b"https", True)),
        "a trusted proxy's word against our own TLS": (Hop("10.0.0.1", True, b"a"), ((b"x-forwarded-proto", b"http"),), (b"http", True)),
        "the scheme of a WebSocket": (HOP, ((b"x-forwarded-proto", b"wss"),), (b"https", True)),
        "a scheme that is none": (HOP, ((b"x-forwarded-proto", b"gopher"),), (b"http", False)),
        "an empty scheme": (HOP, ((b"x-forwarded-proto", b""),), (b"http", False)),
        "a local proxy's word": (LOCAL, ((b"x-forwarded-proto", b"https"),), (b"https", True)),
    }
)
def test_the_scheme_is_certain_by_our_tls_or_a_trusted_word(case: Any) -> None:
    hop, lines, expected = case
    facts = read_client(noted(*lines), hop, TRUSTS)

    assert (facts.proto, facts.is_certain) == expected


@table(
    {
        "one proxy, one value": ([b"192.0.2.1"], b"https", b"https"),
        "one proxy that adds to the client's list": ([b"192.0.2.1"], b"http, https", b"https"),
        "two proxies that add": ([b"192.0.2.1, 10.0.0.2"], b"https, http", b"https"),
        "two proxies, and the client's own": ([b"192.0.2.1, 10.0.0.2"], b"http, https, http", b"https"),
        "two proxies, one value": ([b"192.0.2.1, 10.0.0.2"], b"https", b"https"),
        "no address": ([], b"http, https", b"https"),
    }
)
def test_in_a_list_the_value_of_the_farthest_trusted_proxy_counts(case: Any) -> None:
    addresses, protos, expected = case
    fields = {**for_(*addresses), b"x-forwarded-proto": [protos]}

    assert read_client(fields, HOP, TRUSTS).proto == expected


@table(
    {
        "a name": (b"www.example", b"www.example"),
        "a name and a port": (b"www.example:8443", b"www.example:8443"),
        "an IPv6 address": (b"[::1]:80", b"[::1]:80"),
        "a list": (b"evil.example, www.example", b"www.example"),
        "a path": (b"www.example/x", b"api.example:8080"),
        "user information": (b"a@www.example", b"api.example:8080"),
        "nothing": (b"", b"api.example:8080"),
    }
)
def test_a_trusted_host_counts_when_it_is_one(case: Any) -> None:
    value, expected = case
    fields = noted((b"x-forwarded-host", value))

    assert read_client(fields, HOP, TRUSTS).host == expected
    assert sent(fields)[b"X-Forwarded-Host"] == expected


# --- Forwarded ------------------------------------------------------------------------------------


@table(
    {
        "an address": ([b"for=192.0.2.1"], b"192.0.2.1"),
        "the name has no case": ([b"FOR=192.0.2.1"], b"192.0.2.1"),
        "IPv6": ([b'for="[2001:db8::1]"'], b"2001:db8::1"),
        "IPv6 with a port": ([b'for="[2001:db8::1]:4711"'], b"2001:db8::1"),
        "IPv4 with a port": ([b'for="192.0.2.1:4711"'], b"192.0.2.1"),
        "a hidden port": ([b'for="192.0.2.1:_x"'], b"192.0.2.1"),
        "a quoted pair": ([b'for="192.0.2\\.1"'], b"192.0.2.1"),
        "several lines, trusted ones passed over": ([b"for=203.0.113.5", b"for=192.0.2.1;proto=https, for=10.0.0.2"], b"192.0.2.1"),
        "`unknown` stops the walk": ([b"for=192.0.2.1, for=unknown, for=10.0.0.2"], b"10.0.0.2"),
        "a hidden name stops the walk": ([b"for=192.0.2.1, for=_secret"], b"10.0.0.1"),
        "an element without `for` stops the walk": ([b"for=192.0.2.1, proto=https"], b"10.0.0.1"),
        "blanks beside semicolons": ([b"for=192.0.2.1 ; proto=https"], b"192.0.2.1"),
        "empty pairs and elements": ([b",;for=192.0.2.1;;proto=https;,"], b"192.0.2.1"),
        "nothing": ([b""], b"10.0.0.1"),
        "IPv6 without quotes": ([b"for=[2001:db8::1]"], b"10.0.0.1"),
        "IPv6 without brackets": ([b'for="2001:db8::1"'], b"10.0.0.1"),
        "an open quote": ([b'for="192.0.2.1'], b"10.0.0.1"),
        "what is no node": ([b"for=gibberish"], b"10.0.0.1"),
        "what is no IPv4 address": ([b"for=192.0.2.256"], b"10.0.0.1"),
        "one bad element spoils all": ([b"for=gibberish, for=192.0.2.1"], b"10.0.0.1"),
        "a parameter twice": ([b"for=192.0.2.1;for=192.0.2.2"], b"10.0.0.1"),
        "a blank beside the equals sign": ([b"for = 192.0.2.1"], b"10.0.0.1"),
        "a bad host": ([b'for=192.0.2.1;host="a/b"'], b"10.0.0.1"),
        "a bad scheme": ([b"for=192.0.2.1;proto=1"], b"10.0.0.1"),
        "a bad `by`": ([b"for=192.0.2.1;by=me"], b"10.0.0.1"),
        "an extension": ([b"for=192.0.2.1;secret=x"], b"192.0.2.1"),
        "as many elements as are read": ([b"for=192.0.2.1"] * MAX_ELEMENTS, b"192.0.2.1"),
        "one more": ([b"for=192.0.2.1"] * (MAX_ELEMENTS + 1), b"10.0.0.1"),
        "too many bytes": ([b"for=192.0.2.1;x=" + b"y" * MAX_BYTES], b"10.0.0.1"),
    }
)
def test_forwarded_is_read_strictly_or_not_at_all(case: Any) -> None:
    values, expected = case

    assert read_client({b"forwarded": values}, HOP, TRUSTS).address == expected


def test_forwarded_tells_scheme_and_host_beside_the_client() -> None:
    value = b'for=203.0.113.5;proto=http;host=evil.example, for=192.0.2.1;proto=https;host="www.example:8443", for=10.0.0.2;proto=http'
    facts = read_client({b"forwarded": [value]}, HOP, TRUSTS)

    assert (facts.address, facts.proto, facts.host, facts.is_certain) == (b"192.0.2.1", b"https", b"www.example:8443", True)


@table(
    {
        "by default the one that most proxies write": (ForwardedMode.X_FORWARDED, b"192.0.2.1"),
        "where both are written": (ForwardedMode.BOTH, b"192.0.2.1"),
        "where none is written": (ForwardedMode.NONE, b"192.0.2.1"),
        "the other, where it is what is spoken here": (ForwardedMode.FORWARDED, b"203.0.113.5"),
    }
)
def test_of_two_families_one_is_read(case: Any) -> None:
    """A proxy that writes one of them passes the other on as the client wrote it."""
    mode, expected = case
    fields = noted((b"x-forwarded-for", b"192.0.2.1"), (b"forwarded", b"for=203.0.113.5;proto=https"))

    assert read_client(fields, HOP, TRUSTS, mode).address == expected


# --- what the upstream is told --------------------------------------------------------------------


@table(
    {
        "extended": ([b"192.0.2.1"], b"192.0.2.1, 10.0.0.1"),
        "several lines become one": ([b"203.0.113.5, 192.0.2.1", b"10.0.0.2"], b"203.0.113.5, 192.0.2.1, 10.0.0.2, 10.0.0.1"),
        "cut behind what is no address": ([b"192.0.2.7, <script>, 192.0.2.1"], b"192.0.2.1, 10.0.0.1"),
        "addresses in their usual form, without ports": ([b"[2001:DB8::1]:80, ::ffff:192.0.2.1"], b"2001:db8::1, 192.0.2.1, 10.0.0.1"),
        "`unknown` is passed on": ([b"unknown"], b"unknown, 10.0.0.1"),
        "begun": ([], b"10.0.0.1"),
    }
)
def test_a_trusted_list_is_extended_by_the_peer(case: Any) -> None:
    values, expected = case

    assert sent(for_(*values))[b"X-Forwarded-For"] == expected


def test_of_a_list_that_is_too_long_the_near_end_is_kept() -> None:
    """A client that sends a long list cannot hide what the proxies wrote about it."""
    many = sent(for_(b",".join([b"203.0.113.5"] * 1000), b"192.0.2.1"))[b"X-Forwarded-For"]
    long = sent(for_(b"x" * MAX_BYTES + b",203.0.113.5,192.0.2.1"))[b"X-Forwarded-For"]
    cut = sent(for_(b"203.0.113.5," + b" " * (MAX_BYTES - 20) + b",192.0.2.1"))[b"X-Forwarded-For"]

    assert many == b"203.0.113.5, " * (MAX_ELEMENTS - 1) + b"192.0.2.1, 10.0.0.1"
    assert long == b"203.0.113.5, 192.0.2.1, 10.0.0.1"
    assert cut == b"192.0.2.1, 10.0.0.1"


def test_a_local_peer_has_no_address() -> None:
    assert sent({}, LOCAL, ForwardedMode.BOTH, port=0) == {
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Host": b"localhost",
        b"X-Forwarded-Port": b"80",
        b"Forwarded": b"for=unknown;host=localhost;proto=http",
    }
    assert sent(for_(b"192.0.2.1"), LOCAL)[b"X-Forwarded-For"] == b"192.0.2.1"
    assert read_client({}, LOCAL, TRUSTS).address == b"unix"


def test_a_peer_s_scope_and_mapping_stay_here() -> None:
    fe80 = Hop("fe80::1%eth0", True, b"a")
    mapped = Hop("::ffff:192.0.2.9", True, b"a")

    assert read_client({}, fe80, TRUSTS).address == b"fe80::1"
    assert sent({}, fe80, ForwardedMode.BOTH)[b"Forwarded"] == b'for="[fe80::1]";host=a;proto=https'
    assert sent({}, mapped)[b"X-Forwarded-For"] == b"192.0.2.9"


@table(
    {
        "ours": ((), HOP, 9000, b"9000"),
        "ours is not known: the host's": ((), HOP, 0, b"8080"),
        "ours is not known, and the host has none": ((), Hop("192.0.2.9", True, b"a"), 0, b"443"),
        "a trusted proxy's": (((b"x-forwarded-port", b"444"), (b"x-forwarded-proto", b"https")), HOP, 9000, b"444"),
        "a trusted proxy's, the last of several": (((b"x-forwarded-port", b"1, 444"),), HOP, 9000, b"444"),
        "a trusted proxy tells the scheme: that of the scheme": (
            ((b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"[::1]")),
            HOP,
            9000,
            b"443",
        ),
        "a trusted proxy tells the host: the host's": (((b"x-forwarded-host", b"b:444"),), HOP, 9000, b"444"),
        "port 0": (((b"x-forwarded-port", b"0"),), HOP, 9000, b"9000"),
        "a port that does not exist": (((b"x-forwarded-port", b"65536"),), HOP, 9000, b"9000"),
        "no number": (((b"x-forwarded-port", b"http"),), HOP, 9000, b"9000"),
    }
)
def test_the_port_is_the_one_that_the_client_used(case: Any) -> None:
    lines, hop, port, expected = case

    assert sent(noted(*lines), hop, port=port)[b"X-Forwarded-Port"] == expected


@table(
    {
        "ours": ([], b"/reports", b"/reports"),
        "a trusted proxy's before ours": ([b"/outer/x"], b"/reports", b"/outer/x/reports"),
        "a trusted proxy's alone": ([b"/outer"], b"", b"/outer"),
        "a host": ([b"//evil.example"], b"", None),
        "a slash at the end": ([b"/outer/"], b"", None),
        "dot segments": ([b"/outer/../x"], b"", None),
        "dots in a name": ([b"/.well-known/..x"], b"", b"/.well-known/..x"),
        "a list": ([b"/a, /b"], b"/reports", b"/reports"),
        "two lines": ([b"/a", b"/b"], b"/reports", b"/reports"),
        "a full URL": ([b"http://evil.example/"], b"", None),
        "none": ([], b"", None),
    }
)
def test_the_prefix_is_what_was_stripped(case: Any) -> None:
    values, prefix, expected = case
    fields = {b"x-forwarded-prefix": values} if values else {}

    assert sent(fields, prefix=prefix).get(b"X-Forwarded-Prefix") == expected


@table(
    {
        "no Host": b"",
        "a Host that would be a list": b"a,b",
        "a Host with a quote": b'a"',
    }
)
def test_a_host_that_is_none_is_not_told(case: Any) -> None:
    hop = Hop("192.0.2.9", False, case)

    assert sent({}, hop, ForwardedMode.BOTH, port=80) == {
        b"X-Forwarded-For": b"192.0.2.9",
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Port": b"80",
        b"Forwarded": b"for=192.0.2.9;proto=http",
    }


def test_nothing_is_told_when_nothing_shall_be() -> None:
    assert sent(for_(b"192.0.2.1"), mode=ForwardedMode.NONE) == {}


@table(
    {
        "as received, and our element": (
            noted((b"forwarded", b"For=192.0.2.1; proto=https;by=_x"), (b"forwarded", b"for=10.0.0.2")),
            b'For=192.0.2.1; proto=https;by=_x, for=10.0.0.2, for=10.0.0.1;host="api.example:8080";proto=http',
        ),
        "what does not parse is dropped whole": (
            noted((b"forwarded", b'for=192.0.2.1;x="')),
            b'for=10.0.0.1;host="api.example:8080";proto=http',
        ),
        "X-Forwarded-* translated, host and scheme beside the client": (
            noted(
                (b"x-forwarded-for", b"2001:db8::5, 192.0.2.1, 10.0.0.2"),
                (b"x-forwarded-proto", b"https"),
                (b"x-forwarded-host", b"www.example"),
            ),
            b'for="[2001:db8::5]", for=192.0.2.1;host=www.example;proto=https, for=10.0.0.2, for=10.0.0.1;host="api.example:8080";proto=http',
        ),
        "X-Forwarded-* without an address": (
            noted((b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"www.example")),
            b"for=10.0.0.1;host=www.example;proto=https",
        ),
    }
)
def test_forwarded_is_extended(case: Any) -> None:
    fields, expected = case

    assert sent(fields, mode=ForwardedMode.FORWARDED) == {b"Forwarded": expected}


def test_forwarded_is_translated() -> None:
    fields = noted((b"forwarded", b'for="[2001:db8::1]:80";proto=https;host=www.example, for=_hidden, for=10.0.0.2'))

    assert sent(fields) == {
        b"X-Forwarded-For": b"2001:db8::1, unknown, 10.0.0.2, 10.0.0.1",
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Host": b"api.example:8080",
        b"X-Forwarded-Port": b"8080",
    }


def test_what_one_proxy_tells_the_next_one_reads() -> None:
    inner = Hop("10.0.0.5", False, b"inner")
    lines = forwarded_lines(ForwardedMode.BOTH, STRANGER, read_client({}, STRANGER, TRUSTS), prefix=b"", port=0)
    fields = {name.lower(): [value] for name, value in lines}

    for mode in (ForwardedMode.X_FORWARDED, ForwardedMode.FORWARDED):
        facts = read_client(fields, inner, TRUSTS, mode)
        assert (facts.address, facts.proto, facts.host) == (b"192.0.2.9", b"http", b"api.example:8080")
