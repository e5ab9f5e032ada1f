"""
CORS policies that cannot be misconfigured.

`draft → build_policy() → CorsPolicy or every Fault at once`. A CorsPolicy that exists is valid, so the
rest of the program never checks one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from corsproxy import problems
from corsproxy.cors import names
from corsproxy.cors.max_age import CAPS_S
from corsproxy.cors.origins import ANY, Bounds, Origins, RegexEntry, build_origins, find_entry
from corsproxy.cors.pattern import OriginPattern
from corsproxy.problems import Fault
from corsproxy.semantics.tokens import is_token

__all__ = ["ANY", "CorsPolicy", "PolicyDraft", "RegexEntry", "build_policy"]

CHROMIUM_MAX_AGE_S: Final = CAPS_S["Chromium"]
DEFAULT_MAX_AGE_S: Final = CHROMIUM_MAX_AGE_S
MAX_MAX_AGE_S: Final = max(CAPS_S.values())

DEFAULT_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
DEFAULT_REQUEST_HEADERS: Final = ("Content-Type",)
# The words that stand for a list in `websocket_origins`: that of `allow_origins`, and an empty one.
SOCKETS_AS_CORS: Final = "cors"
NO_SOCKETS: Final = "none"
# Spec: Fetch #cross-origin-resource-policy-header.
RESOURCE_POLICIES: Final = ("same-origin", "same-site", "cross-origin")


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """
    A policy as a person wrote it, decoded but not judged.

    The lists hold `"*"` alone for "any", and `websocket_origins` may be one of its two words. `max_age_s` is in seconds.
    """

    allow_origins: tuple[str | RegexEntry, ...]
    allow_methods: tuple[str, ...] = DEFAULT_METHODS
    allow_headers: tuple[str, ...] = DEFAULT_REQUEST_HEADERS
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age_s: int = DEFAULT_MAX_AGE_S
    enforce: bool = True
    websocket_origins: tuple[str | RegexEntry, ...] = (SOCKETS_AS_CORS,)
    allow_private_network: bool = False
    timing_allow_origin: bool = False
    resource_policy: str = ""
    dangerously_allow_null_origin: bool = False
    dangerously_allow_insecure_origins: bool = False
    dangerously_allow_public_suffixes: bool = False


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """
    A valid policy.

    `methods`, `headers` and `exposed` are None for "any"; `headers` are lower-case. `sockets` are the origins whose pages may open
    WebSockets, None for those of `allow_origins`. `resource_policy` is empty to leave the
    upstream's alone. Build it with `build_policy`.
    """

    any_origin: bool
    patterns: tuple[OriginPattern, ...]
    exact: frozenset[bytes]
    methods: tuple[bytes, ...] | None
    headers: frozenset[bytes] | None
    header_list: tuple[bytes, ...]
    lists_authorization: bool
    exposed: tuple[bytes, ...] | None
    credentials: bool
    max_age_s: int
    enforce: bool
    private_network: bool = False
    timing: bool = False
    resource_policy: bytes = b""
    sockets: Origins | None = None

    @property
    def is_public(self) -> bool:
        """Whether every origin gets the same answer, so that no Vary is needed (Fetch #cors-protocol-and-http-caches)."""
        return self.any_origin and not self.credentials

    def allows_origin(self, serialized: bytes) -> OriginPattern | str | None:
        """
        Return the entry that lets this origin in (`"*"` or a pattern), or None.

        Pure. A value that is no serialized origin is never allowed, not even by `*`.

        Spec: Fetch #cors-check, #origin-header.
        """
        return find_entry(self.any_origin, self.patterns, self.exact, serialized)

    def allows_socket(self, serialized: bytes) -> OriginPattern | str | None:
        """
        Return the entry that lets pages of this origin open a WebSocket (`"*"` or a pattern), or None.

        Spec: RFC 6455 10.2.
        """
        return self.allows_origin(serialized) if self.sockets is None else self.sockets.find(serialized)

    def allows_method(self, method: bytes) -> bool:
        """
        Tell whether scripts of allowed origins may use the method; bytes-exact.

        Spec: Fetch #cors-safelisted-method, #forbidden-method.
        """
        if method in names.SAFELISTED_METHODS:
            return True
        return method in names.SENDABLE_METHODS if self.methods is None else method in self.methods

    def allows_header(self, name: bytes) -> bool:
        """
        Tell whether scripts of allowed origins may set the header; `name` is lower-case.

        Spec: Fetch #cors-non-wildcard-request-header-name.
        """
        if self.headers is not None:
            return name in self.headers
        return name != b"authorization" or self.lists_authorization


def _knows_no_suffix(_: str) -> bool:
    return False


def build_policy(
    draft: PolicyDraft, *, is_public_suffix: Callable[[str], bool] = _knows_no_suffix
) -> tuple[CorsPolicy | None, list[Fault]]:
    """
    Judge a draft: (the policy, warnings and notes) or (None, all faults).

    Fault paths begin at the policy: `("allow_origins", 2)`. `is_public_suffix` is asked about the host name behind each
    subdomain wildcard, in lower case and punycode: which names strangers can register changes by the day, so the list
    is not kept here.

    Spec: Fetch #basic-safe-cors-protocol-setup, #cors-protocol-and-credentials; URL #host-public-suffix.
    """
    faults: list[Fault] = []
    bounds = Bounds(
        "allow_origins",
        is_public_suffix,
        draft.allow_credentials,
        draft.dangerously_allow_null_origin,
        draft.dangerously_allow_insecure_origins,
        draft.dangerously_allow_public_suffixes,
    )
    origins = build_origins(draft.allow_origins, bounds, faults)
    if origins.any_origin and draft.allow_private_network:
        message = "`*` with `allow_private_network: true` would let every web site reach into the visitor's network"
        help_ = "list the origins, or take `allow_private_network` out"
        faults.append(Fault(problems.WILDCARD_INTO_NETWORK, ("allow_origins", draft.allow_origins.index(ANY)), message, help_))
    sockets = _judge_sockets(draft, bounds, faults)
    methods = _judge_methods(draft.allow_methods, faults)
    headers = _judge_request_headers(draft.allow_headers, faults)
    exposed = _judge_exposed(draft.expose_headers, faults)
    _judge_max_age(draft.max_age_s, faults)
    _say_dangers(draft, faults)
    if any(fault.problem.severity is problems.Severity.ERROR for fault in faults):
        return None, faults
    any_header = ANY in draft.allow_headers
    policy = CorsPolicy(
        any_origin=origins.any_origin,
        patterns=origins.patterns,
        exact=origins.exact,
        methods=methods,
        headers=None if any_header else frozenset(headers),
        header_list=headers,
        lists_authorization=b"authorization" in headers,
        exposed=exposed,
        credentials=draft.allow_credentials,
        max_age_s=draft.max_age_s,
        enforce=draft.enforce,
        private_network=draft.allow_private_network,
        timing=draft.timing_allow_origin,
        resource_policy=draft.resource_policy.encode(),
        sockets=sockets,
    )
    return policy, faults


def _judge_sockets(draft: PolicyDraft, bounds: Bounds, faults: list[Fault]) -> Origins | None:
    match draft.websocket_origins:
        case (word,) if word == SOCKETS_AS_CORS:
            return None
        case (word,) if word == NO_SOCKETS:
            return Origins()
        case entries:
            return build_origins(entries, replace(bounds, key="websocket_origins"), faults)


def _judge_methods(methods: tuple[str, ...], faults: list[Fault]) -> tuple[bytes, ...] | None:
    good: list[bytes] = []
    for place, text in enumerate(methods):
        if text == ANY:
            continue
        method = text.encode("utf-8", "replace")
        path = ("allow_methods", place)
        if method in names.SENDABLE_METHODS:
            good.append(method)
        elif method.upper() in names.FORBIDDEN_METHODS:
            faults.append(Fault(problems.BAD_METHOD, path, f"no script can send `{text}`", "take it out"))
        elif method.upper() in names.KNOWN_METHODS:
            faults.append(
                Fault(
                    problems.BAD_METHOD, path, f"`{text}` is not `{text.upper()}`: methods are compared by bytes", f"write `{text.upper()}`"
                ),
            )
        else:
            reason = "is a method that HTTP parsers do not know" if is_token(method) else "is no method name"
            faults.append(Fault(problems.BAD_METHOD, path, f"`{text}` {reason}", "take it out"))
    if ANY in methods:
        if len(methods) > 1:
            path = ("allow_methods", methods.index(ANY))
            faults.append(
                Fault(
                    problems.BAD_METHOD,
                    path,
                    "`*` makes the other methods meaningless",
                    'write `allow_methods: "*"` alone, or take `*` out',
                )
            )
        return None
    missing = [m.decode() for m in (b"GET", b"HEAD", b"POST") if m not in good]
    if missing and len(good) == len(methods):
        listed = ", ".join(missing)
        faults.append(
            Fault(
                problems.SAFELISTED_METHODS,
                ("allow_methods",),
                f"{listed} cannot be forbidden by leaving them out: CORS always lets them through",
            )
        )
    return tuple(dict.fromkeys(good))


def _judge_request_headers(listed: tuple[str, ...], faults: list[Fault]) -> tuple[bytes, ...]:
    good: list[bytes] = []
    for place, text in enumerate(listed):
        if text == ANY:
            continue
        name = text.encode("utf-8", "replace").lower()
        fault = _header_fault(name, text, problems.BAD_REQUEST_HEADER)
        if fault is None and names.is_forbidden_request_header(name):
            fault = Fault(problems.BAD_REQUEST_HEADER, (), f"no script can set `{text}`: the browser keeps it to itself", "take it out")
        if fault is None and name in names.RESPONSE_ONLY:
            fault = Fault(
                problems.BAD_REQUEST_HEADER,
                (),
                f"`{text}` is a response header",
                "list it under `expose_headers` if scripts should read it",
            )
        if fault is None:
            good.append(name)
        else:
            faults.append(Fault(fault.problem, ("allow_headers", place), fault.message, fault.help))
    return tuple(dict.fromkeys(good))


def _judge_exposed(listed: tuple[str, ...], faults: list[Fault]) -> tuple[bytes, ...] | None:
    good: list[bytes] = []
    for place, text in enumerate(listed):
        if text == ANY:
            continue
        name = text.encode("utf-8", "replace")
        fault = _header_fault(name, text, problems.BAD_RESPONSE_HEADER)
        if fault is None and name.lower() in names.FORBIDDEN_RESPONSE_HEADERS:
            fault = Fault(problems.BAD_RESPONSE_HEADER, (), f"no script can read `{text}`, exposed or not", "take it out")
        if fault is None and name.lower() in names.REQUEST_ONLY:
            fault = Fault(
                problems.BAD_RESPONSE_HEADER, (), f"`{text}` is a request header", "list it under `allow_headers` if scripts should set it"
            )
        if fault is None:
            good.append(name)
        else:
            faults.append(Fault(fault.problem, ("expose_headers", place), fault.message, fault.help))
    if ANY in listed:
        if len(listed) > 1:
            path = ("expose_headers", listed.index(ANY))
            faults.append(
                Fault(
                    problems.BAD_RESPONSE_HEADER,
                    path,
                    "`*` makes the other names meaningless",
                    'write `expose_headers: "*"` alone, or take `*` out',
                ),
            )
        return None
    return tuple({name.lower(): name for name in good}.values())


def _header_fault(name: bytes, text: str, problem: problems.Problem) -> Fault | None:
    if is_token(name) and ANY not in text:
        return None
    if ANY in text:
        return Fault(problem, (), f"`{text}` has a `*` that stands for nothing", 'write each name, or `"*"` for any')
    if not text:
        return Fault(problem, (), "a header name is empty", "take it out")
    return Fault(problem, (), f"`{text}` is no header name", names.meant_header(text))


def _judge_max_age(max_age_s: int, faults: list[Fault]) -> None:
    if max_age_s < 0:
        faults.append(
            Fault(problems.BAD_MAX_AGE, ("max_age",), f"`max_age` is negative: {max_age_s}", "write `0` to switch the browser's cache off")
        )
    elif max_age_s > MAX_MAX_AGE_S:
        faults.append(
            Fault(
                problems.BAD_MAX_AGE,
                ("max_age",),
                f"`max_age` is over {MAX_MAX_AGE_S} s, the most that any browser keeps",
                "write `24h` or less",
            )
        )
    elif max_age_s > CHROMIUM_MAX_AGE_S:
        faults.append(Fault(problems.MAX_AGE_CAPPED, ("max_age",), "Chromium caps `max_age` at 2h, Safari at 10m"))


def _say_dangers(draft: PolicyDraft, faults: list[Fault]) -> None:
    keys = ("dangerously_allow_null_origin", "dangerously_allow_insecure_origins", "dangerously_allow_public_suffixes")
    faults.extend(
        Fault(problems.DANGEROUS_SETTING, (key,), f"`{key}` is on", "take it out as soon as it is not needed")
        for key in keys
        if getattr(draft, key)
    )
