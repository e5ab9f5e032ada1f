"""The parts of the space of hosts and paths in which two files each have one route."""

import pytest

from corsproxy.comparison.regions import host_classes, regions
from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings

HEAD = "cors: none\n"


def proxy(text: str) -> Settings:
    settings = load_text(HEAD + text, "f").settings
    assert settings is not None
    return settings


def cut(old: str, new: str) -> list[tuple[str, tuple[str, ...], str, str]]:
    return [
        (each.path, each.hosts, each.old.upstream.url if each.old else "-", each.new.upstream.url if each.new else "-")
        for each in regions(proxy(old), proxy(new))
    ]


A, B = "http://a", "http://b"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (f"upstream: {A}\n", f"upstream: {A}\n", [("/", (), A, A)]),
        (f"upstream: {A}\n", f"upstream: {A}\nroutes: [{{path: /x, upstream: '{B}'}}]\n", [("/", (), A, A), ("/x", (), A, B)]),
        (f"upstream: {A}\nroutes: [{{path: /x, upstream: '{B}'}}]\n", f"upstream: {A}\n", [("/", (), A, A), ("/x", (), B, A)]),
        (f"routes: [{{path: /x, upstream: '{A}'}}]\n", f"routes: [{{path: /y, upstream: '{A}'}}]\n", [("/x", (), A, "-"), ("/y", (), "-", A)]),
        (
            f"upstream: {A}\nhosts: [x.example, y.example]\n",
            f"upstream: {A}\nhosts: [x.example, y.example]\nroutes: [{{path: /, hosts: [x.example], upstream: '{B}'}}]\n",
            [("/", (), A, A), ("/", ("x.example",), A, B)],
        ),
        # A host that is newly answered is said by the hosts, unless it has routes of its own.
        (f"upstream: {A}\nhosts: [x.example]\n", f"upstream: {A}\nhosts: [x.example, y.example]\n", [("/", (), A, A)]),
        (
            f"upstream: {A}\nhosts: [x.example]\n",
            f"upstream: {A}\nhosts: [x.example, '*.y.example']\nroutes: [{{path: /v, hosts: ['*.y.example'], upstream: '{B}'}}]\n",
            [("/", (), A, A), ("/v", (), A, A), ("/v", ("*.y.example",), "-", B)],
        ),
    ],
)  # fmt: skip
def test_each_part_is_under_one_route_of_either(old: str, new: str, found: list[tuple[str, tuple[str, ...], str, str]]) -> None:
    assert cut(old, new) == found


def test_hosts_are_counted_by_name() -> None:
    old, new = proxy(f"upstream: {A}\n"), proxy(f"upstream: {A}\nhosts: [b.example, '*.a.example']\n")

    assert [each.name for each in host_classes(old, new)] == ["localhost and IP addresses", "*.a.example", "b.example"]
