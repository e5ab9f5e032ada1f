"""
The header fields that carry a decision to the browser.

Pure: a policy and a decision in, field lines out. Nothing that a client sent is copied into them but an
origin that the policy allows and tokens that it allows.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from corsproxy.cors import names
from corsproxy.cors.decide import Decision, Reason
from corsproxy.cors.policy import CorsPolicy
from corsproxy.semantics.tokens import list_elements

FieldLine = tuple[bytes, bytes]

# What a preflight's answer depends on; some CDNs cache OPTIONS against RFC 9110 9.3.7.
_PREFLIGHT_VARY: Final = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
_TIMING, _RESOURCE = frozenset({b"timing-allow-origin"}), frozenset({b"cross-origin-resource-policy"})
_REPLACED: Final = {
    (False, False): frozenset[bytes](),
    (True, False): _TIMING,
    (False, True): _RESOURCE,
    (True, True): _TIMING | _RESOURCE,
}
MAX_COMPUTED_EXPOSED: Final = 64
_TOLD_TO_EVERYBODY: Final = frozenset({Reason.NO_ORIGIN, Reason.SAME_ORIGIN, Reason.ORIGIN_MALFORMED, Reason.ORIGIN_REPEATED})
_NEVER_EXPOSED: Final = names.SAFELISTED_RESPONSE_HEADERS | names.FORBIDDEN_RESPONSE_HEADERS


def preflight_lines(policy: CorsPolicy, decision: Decision) -> list[FieldLine]:
    """
    Write the fields of a preflight's 204 for an allowed origin.

    The lists are the policy's true ones also when the preflight asked for more, so that the browser
    refuses and its console names the culprit. Access-Control-Max-Age stands on granted preflights only.

    Spec: Fetch #cors-preflight-fetch, #http-responses.
    """
    lines = _grant(policy, decision)
    lines.append((b"Access-Control-Allow-Methods", b", ".join(_allowed_methods(policy, decision))))
    headers = _allowed_headers(policy, decision)
    if headers:
        lines.append((b"Access-Control-Allow-Headers", b", ".join(headers)))
    if decision.reason is Reason.PREFLIGHT_GRANTED:
        lines.append((b"Access-Control-Max-Age", b"%d" % policy.max_age_s))
    if decision.private_network:
        lines.append((b"Access-Control-Allow-Private-Network", b"true"))
    lines.append(preflight_vary(policy))
    return lines


def preflight_vary(policy: CorsPolicy | None) -> FieldLine:
    """
    Write what a preflight's answer depends on.

    Spec: Fetch #cors-protocol-and-http-caches; RFC 9110 12.5.5.
    """
    asks = policy is not None and policy.private_network
    return (b"Vary", _PREFLIGHT_VARY + b", Access-Control-Request-Private-Network" if asks else _PREFLIGHT_VARY)


def grant_lines(policy: CorsPolicy, decision: Decision) -> list[FieldLine]:
    """
    Write Access-Control-Allow-Origin and -Credentials for an actual response; nothing if the origin may not be told.

    A policy of `*` without credentials is told to everybody whose request went upstream, with or without an Origin that
    is one: there is no Vary, so a cache may hand this response to anybody (Fetch, CORS protocol and HTTP caches).

    Spec: Fetch #cors-check, #http-responses.
    """
    if decision.granted or (policy.is_public and decision.reason in _TOLD_TO_EVERYBODY and not decision.refused):
        return _grant(policy, decision)
    return []


def neighbour_lines(policy: CorsPolicy, grants: Sequence[FieldLine]) -> list[FieldLine]:
    """
    Write the fields beside CORS that a policy sets, on an actual response that carries `grants`.

    Timing-Allow-Origin names whom Access-Control-Allow-Origin names; Cross-Origin-Resource-Policy is for everybody.

    Spec: Resource Timing #sec-timing-allow-origin; Fetch #cross-origin-resource-policy-header.
    """
    lines = [(b"Timing-Allow-Origin", grants[0][1])] if policy.timing and grants else []
    if policy.resource_policy:
        lines.append((b"Cross-Origin-Resource-Policy", policy.resource_policy))
    return lines


def replaced_neighbours(policy: CorsPolicy) -> frozenset[bytes]:
    """
    Name the fields of an upstream that a policy replaces, lower-case.

    Spec: Resource Timing #sec-timing-allow-origin; Fetch #cross-origin-resource-policy-header.
    """
    return _REPLACED[policy.timing, bool(policy.resource_policy)]


def expose_line(policy: CorsPolicy, present: Iterable[bytes], *, not_modified: bool) -> FieldLine | None:
    """
    Write Access-Control-Expose-Headers for a granted actual response.

    `present` are the names of the fields that this response will carry, as spelled; they matter only for
    `expose_headers: "*"` with credentials, where `*` would be a literal name. On a 304 such a computed list is
    left out: the cache would replace the 200's longer one.

    Spec: Fetch #concept-response-cors-exposed-header-name-list, #cors-safelisted-response-header-name.
    """
    if policy.exposed is not None:
        return (b"Access-Control-Expose-Headers", b", ".join(policy.exposed)) if policy.exposed else None
    if not policy.credentials:
        return (b"Access-Control-Expose-Headers", b"*")
    if not_modified:
        return None
    found = {name.lower(): name for name in present if name.lower() not in _NEVER_EXPOSED}
    if not found:
        return None
    return (b"Access-Control-Expose-Headers", b", ".join(list(found.values())[:MAX_COMPUTED_EXPOSED]))


def own_expose_line(policy: CorsPolicy, present: Sequence[bytes]) -> FieldLine | None:
    """
    Write Access-Control-Expose-Headers for an answer of the proxy's own: the policy's names and those that it carries.

    Spec: Fetch #concept-response-cors-exposed-header-name-list.
    """
    if policy.exposed is None and not policy.credentials:
        return (b"Access-Control-Expose-Headers", b"*")
    exposed = {name.lower(): name for name in (*(policy.exposed or ()), *present) if name.lower() not in _NEVER_EXPOSED}
    return (b"Access-Control-Expose-Headers", b", ".join(exposed.values())) if exposed else None


def merge_vary(values: Sequence[bytes], name: bytes) -> bytes:
    """
    Add a field name to the values of the Vary lines; `*` stays `*`, and a name that is there stays as it is.

    Idempotent. Spec: RFC 9110 12.5.5; Fetch #cors-protocol-and-http-caches.
    """
    elements = list_elements(values)
    if b"*" in elements:
        return b"*"
    known = {element.lower(): element for element in reversed(elements)}
    merged = list(dict.fromkeys(known[element.lower()] for element in elements))
    if name.lower() not in known:
        merged.append(name)
    return b", ".join(merged)


def _grant(policy: CorsPolicy, decision: Decision) -> list[FieldLine]:
    if policy.is_public:
        return [(b"Access-Control-Allow-Origin", b"*")]
    lines = [(b"Access-Control-Allow-Origin", decision.origin)]
    if policy.credentials:
        lines.append((b"Access-Control-Allow-Credentials", b"true"))
    return lines


def _allowed_methods(policy: CorsPolicy, decision: Decision) -> list[bytes]:
    requested = decision.requested_method
    if policy.methods is None:
        # A method that no parser takes, as `patch`, must not look granted: the browser would accept a `*` for it.
        if not policy.allows_method(requested):
            return sorted(names.SAFELISTED_METHODS)
        # > If request's credentials mode is "include", `*` is a literal method name. (Fetch #cors-preflight-fetch)
        return [requested] if policy.credentials else [b"*"]
    listed = list(policy.methods)
    if requested in names.SAFELISTED_METHODS and requested not in listed:
        listed.append(requested)
    return listed or [b"GET"]


def _allowed_headers(policy: CorsPolicy, decision: Decision) -> list[bytes]:
    if policy.headers is not None:
        return list(policy.header_list)
    # > `Authorization` [...] cannot be covered by a wildcard (Fetch #cors-non-wildcard-request-header-name). Chromium and Firefox let `*`
    # cover it all the same, so where it was asked for and is not listed, there must be no `*`.
    is_literal = policy.credentials or (b"authorization" in decision.requested and not policy.lists_authorization)
    if not is_literal:
        return [b"*", b"authorization"] if policy.lists_authorization else [b"*"]
    return [name for name in decision.requested if policy.allows_header(name)]
