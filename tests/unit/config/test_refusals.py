"""What the file promises to refuse, to warn of and to note about a policy, one promise after the other."""

import pytest

from corsproxy.config.load import load_text
from tests.unit.config.diagnosed import U

WITH = ", allow_credentials: true"
GOOD = "allow_origins: [https://a.example]"


def origins(*texts: str, credentials: bool = True) -> str:
    return f"allow_origins: [{', '.join(texts)}]" + (WITH if credentials else "")


# Precedent: the order of configuration.md, "What is refused, and why". Codes only: each module's own tests hold the words.
PROMISES = {
    "`*` with credentials": ('allow_origins: "*"' + WITH, ["CP202"]),
    "`*` without": ('allow_origins: "*"', []),
    "null": (origins('"null"', credentials=False), ["CP203"]),
    "null, accepted by name": (origins('"null"', credentials=False) + ", dangerously_allow_null_origin: true", ["CP251"]),
    "null with credentials, accepted by name all the same": (
        origins('"null"') + ", dangerously_allow_null_origin: true",
        ["CP204", "CP251"],
    ),
    "a public suffix with credentials": (origins("'https://*.com'"), ["CP213"]),
    "a private public suffix with credentials": (origins("'https://*.github.io'"), ["CP213"]),
    "a public suffix, accepted by name": (origins("'https://*.com'") + ", dangerously_allow_public_suffixes: true", ["CP251"]),
    "a public suffix without credentials": (origins("'https://*.com'", credentials=False), ["CP256"]),
    "a private name is no public suffix": (origins("'https://*.internal'"), []),
    "http with credentials": (origins("http://a.example"), ["CP205"]),
    "http with credentials on a private network": (origins("http://10.0.0.1", "http://a.internal"), ["CP205", "CP205"]),
    "http with credentials, accepted by name": (origins("http://a.example") + ", dangerously_allow_insecure_origins: true", ["CP251"]),
    "http on loopback": (origins("http://127.0.0.1", "'http://[::1]:3000'", "http://localhost", "http://a.localhost:3000"), []),
    "http on what only looks like loopback": (origins("http://localhost.example", "http://127.0.0.1.example"), ["CP205", "CP205"]),
    "a repeated group with a repeat inside": (origins("{regex: 'https://(a+){2}'}"), ["CP206"]),
    "a repeated group": (origins("{regex: 'https://(a)*'}"), ["CP206"]),
    "three repeats": (origins("{regex: 'https://a.*b.*c.*'}"), ["CP206"]),
    "a look-around": (origins("{regex: 'https://(?=a)a'}"), ["CP206"]),
    "a back-reference": (origins(r"{regex: 'https://(a)\1'}"), ["CP206"]),
    "a pattern that is not ASCII": (origins("{regex: 'https://é'}"), ["CP206"]),
    "a pattern within the subset": (origins(r"{regex: 'https://pr-\d+\.(a|b){1,2}\.[a-z]+\.example'}"), []),
    "a loose dot": (origins("{regex: 'https://a.example'}"), ["CP254"]),
    "a path": (origins("https://a.example/x"), ["CP201"]),
    "a slash at the end": (origins("https://a.example/"), ["CP201"]),
    "userinfo": (origins("https://me@a.example"), ["CP201"]),
    "upper case": (origins("https://A.example"), ["CP201"]),
    "Unicode": (origins("https://ä.example"), ["CP201"]),
    "a default port": (origins("https://a.example:443"), ["CP201"]),
    "port 0": (origins("https://a.example:0"), ["CP201"]),
    "an odd IPv4 form": (origins("https://0x7f.1"), ["CP201"]),
    "an odd IPv6 form": (origins("'https://[0:0::1]'"), ["CP201"]),
    "an underscore": (origins("https://a_b.example"), []),
    "a forbidden method": (f"{GOOD}, allow_methods: [GET, HEAD, POST, TRACK]", ["CP207"]),
    "an unknown method": (f"{GOOD}, allow_methods: [GET, HEAD, POST, FETCH]", ["CP207"]),
    "a method in lower case": (f"{GOOD}, allow_methods: [GET, HEAD, POST, patch]", ["CP207"]),
    "a forbidden request header": (f"{GOOD}, allow_headers: [Cookie]", ["CP208"]),
    "a response header among request headers": (f"{GOOD}, allow_headers: [ETag]", ["CP208"]),
    "a request header among response headers": (f"{GOOD}, expose_headers: [Authorization]", ["CP209"]),
    "max_age above a day": (f"{GOOD}, max_age: 86401", ["CP210"]),
    "max_age below 0": (f"{GOOD}, max_age: -1", ["CP210"]),
    "max_age above two hours": (f"{GOOD}, max_age: 86400", ["CP252"]),
    "max_age without a unit": (f"{GOOD}, max_age: 7200", []),
    "methods without GET, HEAD or POST": (f"{GOOD}, allow_methods: [PUT]", ["CP253"]),
    "every danger, whether it is needed or not": (
        f"{GOOD}, dangerously_allow_null_origin: true, dangerously_allow_insecure_origins: true, dangerously_allow_public_suffixes: true",
        ["CP251", "CP251", "CP251"],
    ),
}


@pytest.mark.parametrize(("policy", "codes"), PROMISES.values(), ids=PROMISES)
def test_a_promise_is_kept(policy: str, codes: list[str]) -> None:
    loaded = load_text(f"{U}cors: {{{policy}}}\n", "f")

    assert sorted(each.problem.code for each in loaded.diagnostics) == sorted(codes)
    assert (loaded.settings is None) is any(code < "CP250" for code in codes)
