"""
The policy of a proxy that learns: it lets in whoever calls, so that everything can be seen.

No file can say it, and no other proxy may run by it: every page in the browser could act as the visitor.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from corsproxy.config.choices import LogLevel
from corsproxy.config.settings import AdminSettings, Settings
from corsproxy.cors.origins import ANY, RegexEntry
from corsproxy.cors.policy import CorsPolicy, PolicyDraft, build_policy
from corsproxy.problems import Fault, Severity

_ANY_PAGE: Final = RegexEntry("https?://.+")


def permissive(origins: Sequence[str] = ()) -> CorsPolicy | Fault:
    """
    Build the policy that grants everything, to these origins or to any of http and https; a Fault says which origin is none.

    Pure. Browsers keep no preflight by it, so that each call that needs one shows what it asks for.
    """
    policy, faults = build_policy(
        PolicyDraft(
            allow_origins=tuple(origins) or (_ANY_PAGE,),
            allow_methods=(ANY,),
            # A star does not cover it (Fetch #cors-non-wildcard-request-header-name).
            allow_headers=(ANY, "Authorization"),
            expose_headers=(ANY,),
            allow_credentials=True,
            max_age_s=0,
            dangerously_allow_insecure_origins=True,
        )
    )
    return policy if policy is not None else next(fault for fault in faults if fault.problem.severity is Severity.ERROR)


def while_learning(settings: Settings, policy: CorsPolicy) -> Settings:
    """Put the policy in the place of the settings' own. Pure. No admin listener, and no log of exchanges."""
    return replace(
        settings,
        routes=tuple(replace(route, cors=policy) for route in settings.routes),
        default_cors=policy,
        admin=AdminSettings(listen=None),
        log=replace(settings.log, access=False, level=LogLevel.WARNING),
        workers=1,
    )
