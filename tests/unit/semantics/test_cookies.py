"""Set-Cookie: what is rewritten, what keeps its bytes, and what a browser would drop."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy.semantics.cookies import CookieFault, CookieRules, PathMap, cookie_fault, cookie_name, rewrite_set_cookie


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


NOWHERE = PathMap()
KEEP = CookieRules()
NONE = CookieRules(same_site=b"None")
SECURE = CookieRules(secure=True)
LONG = b"x" * 1025


# --- attributes -----------------------------------------------------------------------------------


@table(
    {
        "None brings Secure": (NONE, b"a=1", b"a=1; SameSite=None; Secure"),
        "a Secure that is there stays where it is": (NONE, b"a=1; secure; HttpOnly", b"a=1; secure; HttpOnly; SameSite=None"),
        "Secure with a value is Secure": (SECURE, b"a=1; Secure=no", b"a=1; Secure=no"),
        "a Secure too long to be read is none": (SECURE, b"a=1; Secure=" + LONG, b"a=1; Secure=" + LONG + b"; Secure"),
        "another SameSite is replaced where it stands": (NONE, b"a=1; SameSite=Lax; Path=/", b"a=1; SameSite=None; Path=/; Secure"),
        "a replaced attribute keeps its name's spelling": (NONE, b"a=1;samesite = Lax ;x", b"a=1;samesite=None;x; Secure"),
        "SameSite without a value": (NONE, b"a=1; SameSite", b"a=1; SameSite=None; Secure"),
        "an unknown SameSite": (NONE, b"a=1; SameSite=Never; Secure", b"a=1; SameSite=None; Secure"),
        "SameSite is compared without case": (NONE, b"a=1; SAMESITE=none; SECURE", b"a=1; SAMESITE=none; SECURE"),
        "of several SameSite one is left, where the last stood": (
            NONE,
            b"a=1; SameSite=Lax; HttpOnly; SameSite=Strict; Secure",
            b"a=1; HttpOnly; SameSite=None; Secure",
        ),
        "one of several equal SameSite is left": (NONE, b"a=1; SameSite=None; SameSite=None; Secure", b"a=1; SameSite=None; Secure"),
        "a SameSite too long to be read is replaced": (NONE, b"a=1; SameSite=" + LONG + b"; Secure", b"a=1; Secure; SameSite=None"),
        "Lax brings no Secure": (CookieRules(same_site=b"Lax"), b"a=1; SameSite=None", b"a=1; SameSite=Lax"),
        "Strict": (CookieRules(same_site=b"Strict"), b"a=1", b"a=1; SameSite=Strict"),
        "Partitioned brings Secure": (CookieRules(partitioned=True), b"a=1", b"a=1; Secure; Partitioned"),
        "Partitioned stands once": (CookieRules(partitioned=True), b"a=1; partitioned; Secure", b"a=1; partitioned; Secure"),
        "a semicolon at the end is used": (SECURE, b"a=1; Path=/;", b"a=1; Path=/; Secure"),
        "blanks at the end are used": (SECURE, b"a=1 ; ", b"a=1 ; Secure"),
        "a cookie without a name": (SECURE, b"abc", b"abc; Secure"),
        "a cookie without a value": (SECURE, b"a=", b"a=; Secure"),
        "no cookie at all": (NONE, b"", b""),
        "attributes without a cookie": (NONE, b" = ; Path=/", b" = ; Path=/"),
        "unknown attributes and odd bytes": (
            SECURE,
            b'a="caf\xe9; Expires=Wed, 09 Jun 2030 10:18:14 GMT;;Priority=High; X-\xff = y ',
            b'a="caf\xe9; Expires=Wed, 09 Jun 2030 10:18:14 GMT;;Priority=High; X-\xff = y ; Secure',
        ),
        "a value that looks like an attribute": (SECURE, b"secure=1", b"secure=1; Secure"),
        "an attribute inside of quotes is one, for browsers": (SECURE, b'a="x; Secure"; Secure', b'a="x; Secure"; Secure'),
    }
)
def test_attributes_are_set_and_nothing_else_is_touched(case: Any) -> None:
    rules, value, expected = case

    assert rewrite_set_cookie(value, rules, NOWHERE) == expected


@table(
    {
        "no rule": (KEEP, NOWHERE, b"a=1; Path=/x; Path=/y"),
        "a path that was not changed": (KEEP, PathMap(b"/a", b"/a"), b"a=1; Path=/a/x"),
        "everything is there": (NONE, PathMap(b"/a"), b"a=1; SameSite=None; Secure; Path=/x"),
        "a host-only cookie": (CookieRules(domain=b"example.com"), NOWHERE, b"a=1; Path=/"),
        "nothing to remove": (CookieRules(domain=b""), NOWHERE, b"a=1; Path=/"),
    }
)
def test_what_does_not_change_is_the_same_object(case: Any) -> None:
    rules, paths, value = case

    assert rewrite_set_cookie(value, rules, paths) is value


@table(
    {
        "removed": (b"", b"a=1; Domain=legacy.internal; Path=/", b"a=1; Path=/"),
        "removed wherever it stands": (b"", b"a=1; domain=x;HttpOnly; DOMAIN = y", b"a=1;HttpOnly"),
        "replaced": (b"example.com", b"a=1; domain=.legacy.internal", b"a=1; domain=example.com"),
        "the last one is replaced, the others go": (b"example.com", b"a=1; Domain=x; Secure; Domain=y", b"a=1; Secure; Domain=example.com"),
        "a literal that is there": (b"example.com", b"a=1; Domain=example.com", b"a=1; Domain=example.com"),
        "an empty one makes a host-only cookie": (b"example.com", b"a=1; Domain=x; Domain=", b"a=1; Domain=x; Domain="),
        "kept": (None, b"a=1; Domain=x", b"a=1; Domain=x"),
    }
)
def test_domain_is_kept_removed_or_replaced(case: Any) -> None:
    domain, value, expected = case

    assert rewrite_set_cookie(value, CookieRules(domain=domain), NOWHERE) == expected


@table(
    {
        "below the base": (PathMap(b"/app"), b"/app/x", b"/x"),
        "the base": (PathMap(b"/app"), b"/app", b"/"),
        "the base with a slash": (PathMap(b"/app"), b"/app/", b"/"),
        "the prefix is put back": (PathMap(b"", b"/reports"), b"/x/", b"/reports/x/"),
        "the root covers the prefix, without a slash": (PathMap(b"", b"/reports"), b"/", b"/reports"),
        "one for the other": (PathMap(b"/app", b"/reports"), b"/app/x", b"/reports/x"),
        "above the base: all of the route": (PathMap(b"/legacy/app", b"/reports"), b"/legacy", b"/reports"),
        "above the base, with a slash": (PathMap(b"/legacy/app"), b"/legacy/", b"/"),
        "the root, above every base": (PathMap(b"/legacy/app", b"/reports"), b"/", b"/reports"),
        "whole segments only": (PathMap(b"/app"), b"/apple", b"/apple"),
        "whole segments only, above": (PathMap(b"/apple"), b"/app", b"/app"),
        "beside the base": (PathMap(b"/app", b"/reports"), b"/other", b"/other"),
        "no path: the browser takes the default": (PathMap(b"/app", b"/reports"), b"app", b"app"),
        "an empty path": (PathMap(b"/app", b"/reports"), b"", b""),
        "a quoted path, which browsers do not read": (PathMap(b"/app"), b'"/app"', b'"/app"'),
        "nothing was changed, so nothing is": (PathMap(b"/app", b"/app"), b"/", b"/"),
        "the inverse of the request's way, also where both begin alike": (PathMap(b"/a", b"/a/b"), b"/a/b/x", b"/a/b/b/x"),
    }
)
def test_path_is_mapped_back(case: Any) -> None:
    paths, path, expected = case

    assert rewrite_set_cookie(b"a=1; path=" + path + b"; HttpOnly", KEEP, paths) == b"a=1; path=" + expected + b"; HttpOnly"


@table(
    {
        "no attribute": (b"a=1; HttpOnly", b"a=1; HttpOnly"),
        "the last one counts, the others go": (b"a=1; Path=/app/x; Path=/app/y", b"a=1; Path=/y"),
        "the last one is not ours": (b"a=1; Path=/app/x; Path=/y", b"a=1; Path=/app/x; Path=/y"),
        "one that is too long does not count": (b"a=1; Path=/app/x; Path=/app/" + LONG, b"a=1; Path=/x"),
    }
)
def test_one_path_counts(case: Any) -> None:
    value, expected = case

    assert rewrite_set_cookie(value, KEEP, PathMap(b"/app")) == expected


def test_a_path_is_kept_when_the_rules_say_so() -> None:
    assert rewrite_set_cookie(b"a=1; Path=/app", CookieRules(path=False), PathMap(b"/app")) == b"a=1; Path=/app"


@pytest.mark.parametrize("name", [b"__Host-sid", b"__HOST-sid", b" __host-Http-sid "])
def test_a_host_cookie_keeps_its_domain_and_path(name: bytes) -> None:
    rules = CookieRules(same_site=b"None", partitioned=True, domain=b"")
    value = name + b"=1; Path=/; Domain=x; Secure"

    assert rewrite_set_cookie(value, rules, PathMap(b"/app", b"/reports")) == value + b"; SameSite=None; Partitioned"


def test_a_secure_cookie_has_its_domain_and_path_mapped() -> None:
    rules = CookieRules(domain=b"")

    assert rewrite_set_cookie(b"__Secure-a=1; Secure; Path=/; Domain=x", rules, PathMap(b"", b"/r")) == b"__Secure-a=1; Secure; Path=/r"


# --- what a browser drops -------------------------------------------------------------------------


@table(
    {
        "a plain cookie": (b"a=1", None),
        "a good cookie for other sites": (b"a=1; SameSite=None; Secure; Partitioned", None),
        "a good __Host- cookie": (b"__Host-a=1; Secure; Path=/", None),
        "a good __Host-Http- cookie": (b"__Host-Http-a=1; Secure; HttpOnly; Path=/", None),
        "a tab in the value": (b"a=1\t2", None),
        "neither name nor value": (b"; Secure", CookieFault.EMPTY),
        "a control character": (b"a=\x01", CookieFault.CONTROL_CHARACTER),
        "4,097 bytes": (b"a=" + b"x" * 4096, CookieFault.TOO_LONG),
        "4,096 bytes": (b"a=" + b"x" * 4095, None),
        "a prefix in place of a name": (b"__HOST-a", CookieFault.NAMELESS_PREFIX),
        "a prefix behind an empty name": (b"=__Secure-a=1; Secure", CookieFault.NAMELESS_PREFIX),
        "None without Secure": (b"a=1; SameSite=NONE", CookieFault.NONE_WITHOUT_SECURE),
        "a later SameSite counts": (b"a=1; SameSite=None; SameSite=Lax", None),
        "Partitioned without Secure": (b"a=1; Partitioned", CookieFault.PARTITIONED_WITHOUT_SECURE),
        "__Secure- without Secure": (b"__SECURE-a=1", CookieFault.SECURE_PREFIX),
        "__Host- without Secure": (b"__Host-a=1; Path=/", CookieFault.HOST_PREFIX),
        "__Host- without Path": (b"__Host-a=1; Secure", CookieFault.HOST_PREFIX),
        "__Host- with another Path": (b"__host-a=1; Secure; Path=/x", CookieFault.HOST_PREFIX),
        "__Host- with Domain": (b"__Host-a=1; Secure; Path=/; Domain=api.example", CookieFault.HOST_PREFIX),
        "__Http- without HttpOnly": (b"__Http-a=1; Secure", CookieFault.HTTP_PREFIX),
        "__Host-Http- without HttpOnly": (b"__Host-Http-a=1; Secure; Path=/", CookieFault.HTTP_PREFIX),
        "our own host as Domain": (b"a=1; Domain=API.example", None),
        "a domain above it, with a dot": (b"a=1; Domain=.example", None),
        "an empty Domain": (b"a=1; Domain=", None),
        "the upstream's Domain": (b"a=1; Domain=legacy.internal", CookieFault.FOREIGN_DOMAIN),
        "a Domain that ends alike": (b"a=1; Domain=pi.example", CookieFault.FOREIGN_DOMAIN),
    }
)
def test_a_browser_drops_what_breaks_its_rules(case: Any) -> None:
    value, fault = case

    assert cookie_fault(value, is_secure_transport=True, host=b"Api.example") is fault


@table(
    {
        "a plain cookie": (b"a=1", None),
        "a Secure cookie": (b"a=1; Secure", CookieFault.SECURE_OVER_HTTP),
        "what is wrong anyway is said first": (b"a=1; SameSite=None", CookieFault.NONE_WITHOUT_SECURE),
    }
)
def test_plain_http_sets_no_secure_cookie(case: Any) -> None:
    value, fault = case

    assert cookie_fault(value, is_secure_transport=False) is fault


@table(
    {
        "SameSite=None": (b"a=1; SameSite=None; Secure", None),
        "no SameSite": (b"a=1", CookieFault.SAME_SITE),
        "Lax": (b"a=1; SameSite=Lax", CookieFault.SAME_SITE),
    }
)
def test_the_answer_to_a_cross_site_request_sets_only_cookies_for_other_sites(case: Any) -> None:
    value, fault = case

    assert cookie_fault(value, is_secure_transport=True, is_cross_site=True) is fault


def test_a_domain_is_not_judged_without_a_host() -> None:
    assert cookie_fault(b"a=1; Domain=legacy.internal", is_secure_transport=True) is None


@table(
    {
        "a name": (b"sid=secret; Path=/", b"sid"),
        "a name with blanks": (b"\tsid =secret", b"sid"),
        "no name": (b"secret; a=b", b""),
        "an empty name": (b"=secret", b""),
        "nothing": (b"", b""),
    }
)
def test_a_name_never_shows_the_value(case: Any) -> None:
    value, name = case

    assert cookie_name(value) == name
