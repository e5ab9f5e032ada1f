"""
CORS policies that cannot be misconfigured.

`draft → build_policy() → CorsPolicy or every Fault at once`. A CorsPolicy that exists is valid, so the
rest of the program never checks one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from corsproxy import problems
from corsproxy.cors import names
from corsproxy.cors.max_age import CAPS_S
from corsproxy.cors.origin import NULL, parse_origin
from corsproxy.cors.pattern import OriginPattern, PatternKind, parse_pattern
from corsproxy.problems import Fault
from corsproxy.semantics.tokens import is_token

CHROMIUM_MAX_AGE_S: Final = CAPS_S["Chromium"]
DEFAULT_MAX_AGE_S: Final = CHROMIUM_MAX_AGE_S
MAX_MAX_AGE_S: Final = max(CAPS_S.values())

DEFAULT_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
DEFAULT_REQUEST_HEADERS: Final = ("Content-Type",)
ANY: Final = "*"
# Spec: Fetch #cross-origin-resource-policy-header.
RESOURCE_POLICIES: Final = ("same-origin", "same-site", "cross-origin")


@dataclass(frozen=True, slots=True)
class RegexEntry:
    """An entry of `allow_origins` written as `regex: …`."""

    pattern: str


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """
    A policy as a person wrote it, decoded but not judged.

    The lists hold `"*"` alone for "any". `max_age_s` is in seconds.
    """

    allow_origins: tuple[str | RegexEntry, ...]
    allow_methods: tuple[str, ...] = DEFAULT_METHODS
    allow_headers: tuple[str, ...] = DEFAULT_REQUEST_HEADERS
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age_s: int = DEFAULT_MAX_AGE_S
    enforce: bool = True
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

    `methods`, `headers` and `exposed` are None for "any"; `headers` are lower-case. `resource_policy` is empty to leave the
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
        if serialized in self.exact:
            return next(pattern for pattern in self.patterns if pattern.text.encode() == serialized)
        origin = parse_origin(serialized)
        if origin is None and serialized != NULL:
            return None
        if self.any_origin:
            return ANY
        return next((pattern for pattern in self.patterns if pattern.matches(serialized, origin)), None)

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
    patterns = _judge_origins(draft, is_public_suffix, faults)
    methods = _judge_methods(draft.allow_methods, faults)
    headers = _judge_request_headers(draft.allow_headers, faults)
    exposed = _judge_exposed(draft.expose_headers, faults)
    _judge_max_age(draft.max_age_s, faults)
    _say_dangers(draft, faults)
    if any(fault.problem.severity is problems.Severity.ERROR for fault in faults):
        return None, faults
    any_header = ANY in draft.allow_headers
    policy = CorsPolicy(
        any_origin=ANY in draft.allow_origins,
        patterns=patterns,
        exact=frozenset(p.text.encode() for p in patterns if p.kind in (PatternKind.EXACT, PatternKind.NULL)),
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
    )
    return policy, faults


def _judge_origins(draft: PolicyDraft, is_public_suffix: Callable[[str], bool], faults: list[Fault]) -> tuple[OriginPattern, ...]:
    if not draft.allow_origins:
        faults.append(
            Fault(problems.NO_ORIGINS, ("allow_origins",), "`allow_origins` is empty", "list origins, as `https://app.example.com`")
        )
    if ANY in draft.allow_origins:
        _judge_any_origin(draft, faults)
    patterns: list[OriginPattern] = []
    for place, entry in enumerate(draft.allow_origins):
        if entry == ANY:
            continue
        path = ("allow_origins", place)
        found = parse_pattern(entry.pattern, regex=True) if isinstance(entry, RegexEntry) else parse_pattern(entry)
        if isinstance(found, Fault):
            faults.append(Fault(found.problem, path, found.message, found.help))
            continue
        patterns.append(found)
        _judge_pattern(found, draft, path, faults)
        if found.suffix and is_public_suffix(name := found.suffix.decode().removeprefix(".")):
            _judge_public_suffix(found, name, draft, path, faults)
    return tuple(patterns)


def _judge_any_origin(draft: PolicyDraft, faults: list[Fault]) -> None:
    path = ("allow_origins", draft.allow_origins.index(ANY))
    if draft.allow_credentials:
        message = "`*` with `allow_credentials: true` would let every web site act as the visitor"
        faults.append(Fault(problems.WILDCARD_WITH_CREDENTIALS, path, message, "list the origins, or take `allow_credentials` out"))
    if draft.allow_private_network:
        message = "`*` with `allow_private_network: true` would let every web site reach into the visitor's network"
        faults.append(Fault(problems.WILDCARD_INTO_NETWORK, path, message, "list the origins, or take `allow_private_network` out"))
    if len(draft.allow_origins) > 1:
        help_ = 'write `allow_origins: "*"` alone, or take `*` out'
        faults.append(Fault(problems.BAD_WILDCARD, path, "`*` makes the other origins meaningless", help_))


def _judge_pattern(pattern: OriginPattern, draft: PolicyDraft, path: tuple[str | int, ...], faults: list[Fault]) -> None:
    if pattern.kind is PatternKind.NULL:
        if draft.allow_credentials:
            faults.append(
                Fault(
                    problems.NULL_WITH_CREDENTIALS,
                    path,
                    "`null` with `allow_credentials: true` lets every web site act as the visitor",
                    "take `null` out",
                ),
            )
        elif not draft.dangerously_allow_null_origin:
            faults.append(
                Fault(
                    problems.NULL_ORIGIN,
                    path,
                    "`null` is an origin that any web site can take on",
                    "take it out, or write `dangerously_allow_null_origin: true` in this policy",
                ),
            )
    elif draft.allow_credentials and not draft.dangerously_allow_insecure_origins and pattern.is_insecure:
        faults.append(
            Fault(
                problems.INSECURE_ORIGIN,
                path,
                f"`{pattern.text}` lets http pages use the visitor's credentials",
                "use https, or write `dangerously_allow_insecure_origins: true` in this policy",
            ),
        )
    if pattern.regex is not None and pattern.regex.has_loose_dot:
        faults.append(
            Fault(problems.UNESCAPED_DOT, path, f"a `.` in `{pattern.text}` matches any character, not only a dot", r"write `\.`"),
        )


def _judge_public_suffix(pattern: OriginPattern, name: str, draft: PolicyDraft, path: tuple[str | int, ...], faults: list[Fault]) -> None:
    # What is accepted by name is said by that name, and not twice.
    if draft.dangerously_allow_public_suffixes:
        return
    message = f"`{pattern.text}` lets in every site below `{name}`, and anybody can have one there"
    help_ = f"write `{pattern.scheme.decode()}://*.example.{name}`, with the domain that is yours"
    if draft.allow_credentials:
        help_ += ", or `dangerously_allow_public_suffixes: true` in this policy"
    problem = problems.PUBLIC_SUFFIX_WITH_CREDENTIALS if draft.allow_credentials else problems.PUBLIC_SUFFIX
    faults.append(Fault(problem, path, message, help_))


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
