"""Two files held against each other."""

from corsproxy.comparison.compare import as_json, compare
from corsproxy.comparison.difference import Effect
from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings

OLD = """\
upstream: http://localhost:9000
cors: {allow_origins: [https://app.example.com]}
routes:
  - {path: /public, cors: {allow_origins: "*"}}
  - {path: /old, upstream: "http://old:1"}
"""


def proxy(text: str, name: str = "new.yaml") -> Settings:
    loaded = load_text(text, name)
    assert loaded.settings is not None, loaded.diagnostics
    return loaded.settings


def said(new: str, old: str = OLD) -> list[str]:
    found = compare(proxy(old, "old.yaml"), proxy(new))
    return [f"{each.path} {each.effect.value} {each.key}" for each in found.differences]


def test_what_is_written_otherwise_is_the_same() -> None:
    text = """\
policies: {shop: {max_age: 7200, allow_origins: ["https://app.example.com"]}}
routes:
  - {path: /old, upstream: "http://old:1"}
  - path: /public
    cors:
      allow_origins: "*"
cors: shop
upstream: {url: http://localhost:9000}
"""
    found = compare(proxy(OLD), proxy(text))

    assert (found.differences, found.others, found.widens) == ((), (), False)


def test_a_route_that_goes_leaves_its_requests_to_another() -> None:
    found = compare(proxy(OLD), proxy(OLD.replace('  - {path: /public, cors: {allow_origins: "*"}}\n', "")))

    assert [(each.path, each.effect, each.key) for each in found.differences] == [
        ("/public", Effect.NARROWED, "allow_origins"),
        ("/public", Effect.CHANGED, "routes"),
    ]
    assert not found.widens


def test_a_route_that_comes_takes_its_requests_from_another() -> None:
    assert said(OLD + '  - {path: /open, cors: {allow_origins: "*"}}\n') == ["/open widened allow_origins", "/open changed routes"]
    # Nothing that it lets in was not let in before.
    assert said(OLD + "  - {path: /same}\n") == []


def test_what_was_not_served_and_is() -> None:
    old = OLD.replace("upstream: http://localhost:9000\n", "").replace("{path: /public,", "{path: /public, upstream: 'http://p:1',")
    new = old + "  - {path: /new, upstream: 'http://n:1'}\n  - {path: /closed, upstream: 'http://n:1', cors: none}\n"

    assert said(new, old) == ["/new widened routes", "/new widened allow_origins", "/new widened cors", "/closed changed routes"]
    assert said(old, new) == ["/new narrowed routes", "/closed narrowed routes"]


def test_a_policy_that_routes_share_differs_for_all_of_them() -> None:
    assert said(OLD.replace("app.example.com", "b.example.com")) == [
        "/ widened allow_origins",
        "/ narrowed allow_origins",
        "/old widened allow_origins",
        "/old narrowed allow_origins",
    ]


def test_what_lets_nobody_in_is_named() -> None:
    found = compare(proxy(OLD), proxy(OLD + "limits: {in_flight: 10}\nlog: {access: false}\ntimeouts: {connect: 1s}\n"))

    assert (found.differences, found.widens) == ((), False)
    assert found.others == ("limits", "log", "timeouts")


def test_the_values_of_json_are_stable() -> None:
    found = as_json(
        compare(proxy(OLD, "old.yaml"), proxy(OLD.replace("[https://app.example.com]", "[https://app.example.com, https://b.example]")))
    )

    assert found["widens"] is True
    assert found["others"] == []
    assert found["differences"][0] == {
        "effect": "widened",
        "path": "/",
        "hosts": [],
        "key": "allow_origins",
        "words": "calls are allowed from `https://b.example`",
        "items": ["https://b.example"],
        "place": "new.yaml:2:49",
    }
