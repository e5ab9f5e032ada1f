"""The lines that a proxy prints when it starts."""

from corsproxy.cli.summary import summarize
from corsproxy.config.load import load_text
from corsproxy.config.settings import Listen, Settings


def settings_of(text: str) -> Settings:
    settings = load_text(text, "f").settings
    assert settings is not None
    return settings


def test_one_route_is_one_line() -> None:
    settings = settings_of("upstream: http://localhost:9000\ncors: {allow_origins: [https://a.example], allow_headers: []}\n")

    assert summarize(settings, [Listen("127.0.0.1", 8080)]) == [
        "listening on http://127.0.0.1:8080",
        "to http://localhost:9000: https://a.example; GET HEAD POST PUT PATCH DELETE; no credentials",
    ]


def test_tls_is_shown_and_a_unix_socket_speaks_none() -> None:
    settings = settings_of("tls: {cert_file: c, key_file: k}\nupstream: http://localhost:9000\ncors: none\n")
    listening = [Listen("", 8443), Listen("::1", 8444), Listen(unix_path="/run/c.sock")]

    assert summarize(settings, listening)[0] == (
        "listening on https://localhost:8443 and every other address, https://[::1]:8444, unix:/run/c.sock"
    )


def test_routes_for_certain_hosts_come_first_and_stand_below_each_other() -> None:
    text = """\
upstream: http://localhost:9000
cors: none
routes:
  - {path: /public, cors: {allow_origins: "*", allow_methods: "*", allow_headers: "*"}}
  - {path: /, hosts: [a.localhost], cors: passthrough}
"""
    assert summarize(settings_of(text), [Listen("127.0.0.1", 8080)])[1:] == [
        "/ on a.localhost to http://localhost:9000: the upstream does CORS itself",
        "/public          to http://localhost:9000: any origin; any method; any request header; no credentials",
        "/                to http://localhost:9000: no cross-origin access",
    ]


def test_many_origins_are_counted() -> None:
    origins = ", ".join(f"https://{number}.example" for number in "abcdefg")
    settings = settings_of(f"upstream: http://localhost:9000\ncors: {{allow_origins: [{origins}], enforce: false}}\n")

    assert summarize(settings, [Listen("127.0.0.1", 8080)])[1] == (
        "to http://localhost:9000: https://a.example, https://b.example, https://c.example, https://d.example, and 3 more;"
        " GET HEAD POST PUT PATCH DELETE; request headers content-type; no credentials; not enforced"
    )
