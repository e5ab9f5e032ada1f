"""Two policies of one route: what is newly allowed, and what no longer."""

import pytest

from corsproxy.comparison.policies import Written, compare_policies
from corsproxy.config.load import load_text

APP = "allow_origins: [https://app.example]"


def policy(text: str) -> Written:
    if text == "nothing":
        return Written(None)
    settings = load_text(f"upstream: http://localhost:9000\ncors: {text}\n", "f.yaml").settings
    assert settings is not None, text
    return Written(settings.routes[0].cors, settings.routes[0].places)


def said(old: str, new: str) -> list[str]:
    return [f"{each.effect.value} {each.key}: {each.words}" for each in compare_policies(policy(old), policy(new))]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (APP, APP, []),
        (APP, f"{APP}, allow_methods: [PATCH, PUT, DELETE]", []),
        (APP, f"{APP}, allow_headers: [content-TYPE]", []),
        (APP, f"{APP}, max_age: 2h", []),
        (APP, f"{APP}, websocket_origins: [https://app.example]", []),
        (f"{APP}, allow_methods: '*'", f"{APP}, allow_methods: '*'", []),
        (APP, f"{APP}, allow_methods: [LOCK, PUT]", ["widened allow_methods: scripts may send LOCK", "narrowed allow_methods: scripts may no longer send DELETE, PATCH"]),
        (APP, f"{APP}, allow_methods: '*'", ["widened allow_methods: scripts may send any method"]),
        (f"{APP}, allow_methods: '*'", APP, ["narrowed allow_methods: scripts may no longer send any method, but for DELETE, PATCH, PUT"]),
        (APP, f"{APP}, allow_headers: [X-A]", ["widened allow_headers: scripts may set x-a", "narrowed allow_headers: scripts may no longer set content-type"]),
        (APP, f"{APP}, allow_headers: '*'", ["widened allow_headers: scripts may set any header"]),
        (APP, f"{APP}, allow_headers: ['*', Authorization]", ["widened allow_headers: scripts may set any header, authorization"]),
        (f"{APP}, allow_headers: '*'", f"{APP}, allow_headers: ['*', Authorization]", ["widened allow_headers: scripts may set authorization"]),
        (f"{APP}, allow_headers: '*'", f"{APP}, allow_headers: [Authorization]", ["widened allow_headers: scripts may set authorization", "narrowed allow_headers: scripts may no longer set any header, but for authorization"]),
        (f"{APP}, allow_headers: ['*', Authorization]", f"{APP}, allow_headers: '*'", ["narrowed allow_headers: scripts may no longer set authorization"]),
        (APP, f"{APP}, expose_headers: [ETag]", ["widened expose_headers: scripts may read etag"]),
        (APP, f"{APP}, expose_headers: '*'", ["widened expose_headers: scripts may read any header"]),
        (APP, f"{APP}, allow_credentials: true", ["widened allow_credentials: calls may carry the visitor's session, and so may WebSockets"]),
        (f"{APP}, allow_credentials: true", APP, ["narrowed allow_credentials: no longer: calls may carry the visitor's session, and so may WebSockets"]),
        (APP, f"{APP}, enforce: false", ["widened enforce: what the policy does not allow is forwarded, and takes effect"]),
        (f"{APP}, enforce: false", APP, ["narrowed enforce: no longer: what the policy does not allow is forwarded, and takes effect"]),
        (APP, f"{APP}, allow_private_network: true", ["widened allow_private_network: pages may call this proxy inside a private network"]),
        (APP, f"{APP}, timing_allow_origin: true", ["widened timing_allow_origin: scripts see where the time of a call goes"]),
        (APP, f"{APP}, max_age: 0", ["changed max_age: preflights are remembered for 0 s instead of 7200 s"]),
        (APP, f"{APP}, resource_policy: cross-origin", ["may-widen resource_policy: Cross-Origin-Resource-Policy is cross-origin, whatever the upstream says"]),
        (APP, f"{APP}, resource_policy: same-origin", ["narrowed resource_policy: Cross-Origin-Resource-Policy is same-origin, whatever the upstream says"]),
        (f"{APP}, resource_policy: same-site", f"{APP}, resource_policy: cross-origin", ["widened resource_policy: who may embed: cross-origin instead of same-site"]),
        (f"{APP}, resource_policy: cross-origin", f"{APP}, resource_policy: same-site", ["narrowed resource_policy: who may embed: same-site instead of cross-origin"]),
        (f"{APP}, resource_policy: same-site", APP, ["may-widen resource_policy: the upstream says who may embed"]),
        (APP, f"{APP}, websocket_origins: none", ["narrowed websocket_origins: WebSockets may be opened no longer from `https://app.example`"]),
        (f"{APP}, websocket_origins: none", APP, ["widened websocket_origins: WebSockets may be opened from `https://app.example`"]),
        (APP, f"{APP}, websocket_origins: [https://app.example, https://b.example]", ["widened websocket_origins: WebSockets may be opened from `https://b.example`"]),
        (APP, "allow_origins: '*'", ["widened allow_origins: calls are allowed from `*`"]),
        ("allow_origins: '*'", APP, ["narrowed allow_origins: calls are allowed no longer from `*`"]),
        (APP, "allow_origins: [{regex: 'https://[a-z]+\\.example'}]", ["may-widen allow_origins: calls are allowed from `regex: https://[a-z]+\\.example`, if the old list does not let these in already"]),
        (APP, f"{APP}, dangerously_allow_null_origin: true", ["changed dangerously_allow_null_origin: a danger is accepted by name: see what the lists hold"]),
        (f"{APP}, dangerously_allow_null_origin: true", APP, ["changed dangerously_allow_null_origin: a danger is no longer accepted by name"]),
        (APP, f"{APP}, dangerously_allow_null_origin: false", []),
        ("none", "none", []),
        ("passthrough", "passthrough", []),
        ("none", APP, ["widened allow_origins: calls are allowed from `https://app.example`", "widened cors: there is a policy now, where no page of another origin could call"]),
        ("none", f"{APP}, allow_credentials: true, enforce: false", ["widened allow_origins: calls are allowed from `https://app.example`", "widened cors: there is a policy now, where no page of another origin could call; with credentials", "widened enforce: what the policy does not allow is forwarded, and takes effect"]),
        (APP, "none", ["narrowed allow_origins: calls are allowed no longer from `https://app.example`", "narrowed cors: `cors: none`: no page of another origin may call any longer"]),
        (APP, "nothing", ["narrowed allow_origins: calls are allowed no longer from `https://app.example`", "narrowed cors: nothing is served: no page of another origin may call any longer"]),
        (APP, "passthrough", ["may-widen cors: `cors: passthrough`: the upstream alone decides who may call, WebSockets included"]),
        ("none", "passthrough", ["may-widen cors: `cors: passthrough`: the upstream alone decides who may call, WebSockets included"]),
        ("passthrough", APP, ["may-widen cors: a policy decides now, and no longer the upstream: it may allow what the upstream did not"]),
        ("passthrough", "none", ["narrowed cors: no page of another origin may call any longer: the upstream decided who might"]),
    ],
)  # fmt: skip
def test_what_differs_is_said(old: str, new: str, found: list[str]) -> None:
    def block(text: str) -> str:
        return text if text in ("none", "passthrough", "nothing") else f"{{{text}}}"

    assert said(block(old), block(new)) == found


def test_places_lead_to_the_file_that_says_it() -> None:
    places = [each.place for each in compare_policies(policy(f"{{{APP}}}"), policy(f"{{{APP}, allow_methods: [LOCK]}}"))]

    assert places == ["f.yaml:2:46", "f.yaml:2:1"]
