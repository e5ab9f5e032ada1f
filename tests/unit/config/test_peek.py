"""One value of a file, whatever else is wrong with it."""

import pytest

from corsproxy.config.peek import admin_address


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ""),
        ("[]", ""),
        ("upstream: http://a", ""),
        ("admin:", ""),
        ("admin: {}", ""),
        ("admin: {hosts: [a]}", ""),
        ("admin: {listen: }", ""),
        ("admin: {listen: [a]}", ""),
        ("admin: {listen: 127.0.0.1:1}", "127.0.0.1:1"),
        ('admin: {listen: ":9877"}', ":9877"),
        ("admin: {listen: unix:/run/a.sock}", "unix:/run/a.sock"),
        ('admin: "off"', "off"),
        ("admin: off", "off"),
        ("admin: {listen: off}", "off"),
        ("admin: {listen: '127.0.0.1:${PORT}'}", "127.0.0.1:77"),
        ("admin: {listen: '127.0.0.1:${PROT:-78}'}", "127.0.0.1:78"),
        # What else is wrong does not matter.
        ("adminn: 1\nupstream: 3\nadmin: {listen: a:1, x: 2}\nheaders: {request: {set: {A: '${file:/nowhere}'}}}", "a:1"),
        ("admin: {listen: a:1}\nadmin: {listen: a:2}", "a:1"),
        ("x-a: &a {listen: a:3}\nadmin: *a", "a:3"),
        ("admin: {listen: a:1", ""),
        ("\x00", ""),
    ],
)
def test_the_address_is_what_the_file_writes(text: str, found: str) -> None:
    assert admin_address(text, {"PORT": "77"}) == found
