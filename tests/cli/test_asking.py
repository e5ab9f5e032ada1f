"""How the command line finds the admin listener of a running proxy."""

import argparse
from pathlib import Path

import pytest

from corsproxy.cli.asking import Address, NotReachable, find_address


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(url: str | None = None, config: str | None = None, **environ: str) -> Address:
    return find_address(argparse.Namespace(url=url, config=config), environ)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9876", Address("127.0.0.1", 9876)),
        ("localhost:1", Address("localhost", 1)),
        (":9876", Address("127.0.0.1", 9876)),
        ("0.0.0.0:9876", Address("127.0.0.1", 9876)),
        ("[::]:9876", Address("::1", 9876)),
        ("[::1]:9876", Address("::1", 9876)),
        ("unix:/run/a.sock", Address(unix_path="/run/a.sock")),
    ],
)
def test_an_address_is_read_as_the_file_has_it(text: str, address: Address) -> None:
    assert found(CORSPROXY_ADMIN_LISTEN=text) == address
    assert found(url=text) == address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:9876", Address("127.0.0.1", 9876)),
        ("http://localhost:9876/", Address("localhost", 9876)),
        ("http://[::1]:9876", Address("::1", 9876)),
        ("http://ops.internal", Address("ops.internal", 80)),
    ],
)
def test_a_url_is_read(url: str, address: Address) -> None:
    assert found(url=url) == address
    assert str(Address("::1", 9876)) == "http://[::1]:9876"


@pytest.mark.parametrize(
    "url",
    ["https://a:1", "http://", "http://a:99999", "http://a:b", "http://[::1", "http://a/path", "nonsense", "a:", ":", "", "1:2:3:x", "a:²"],
)
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(NotReachable, match="is no address of an admin listener"):
        found(url=url)


def test_a_port_that_nobody_knows_is_said() -> None:
    with pytest.raises(NotReachable, match="any free one"):
        found(CORSPROXY_ADMIN_LISTEN="127.0.0.1:0")


def test_flags_win_over_variables_those_over_the_file_and_that_over_the_default(tmp_path: Path) -> None:
    assert found() == Address("127.0.0.1", 9876)
    (tmp_path / "corsproxy.yaml").write_text("upstream: http://a\n")
    assert found() == Address("127.0.0.1", 9876)
    (tmp_path / "corsproxy.yaml").write_text("admin: {listen: 127.0.0.1:1}\n")
    assert found() == Address("127.0.0.1", 1)
    (tmp_path / "other.yaml").write_text("admin: {listen: 127.0.0.1:2}\n")
    assert found(CORSPROXY_CONFIG="other.yaml") == Address("127.0.0.1", 2)
    (tmp_path / "third.yaml").write_text("admin: {listen: '127.0.0.1:${PORT}'}\n")
    assert found(config="third.yaml", CORSPROXY_CONFIG="other.yaml", PORT="3") == Address("127.0.0.1", 3)
    assert found(config="third.yaml", CORSPROXY_ADMIN_LISTEN="127.0.0.1:4", PORT="3") == Address("127.0.0.1", 4)
    assert found(url="127.0.0.1:5", config="third.yaml", CORSPROXY_ADMIN_LISTEN="127.0.0.1:4") == Address("127.0.0.1", 5)


@pytest.mark.parametrize("content", [b"admin: {listen: ", b"\xff\xfeadmin", b"admin: {listen: [x]}"])
def test_a_file_that_is_being_edited_does_not_end_the_probe(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "corsproxy.yaml").write_bytes(content)
    assert found() == Address("127.0.0.1", 9876)
    assert found(config="missing.yaml") == Address("127.0.0.1", 9876)
    assert found(config="a\0b") == Address("127.0.0.1", 9876)


def test_off_is_said(tmp_path: Path) -> None:
    (tmp_path / "corsproxy.yaml").write_text("admin: off\n")
    with pytest.raises(NotReachable, match="closed"):
        found()
