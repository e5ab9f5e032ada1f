"""How long browsers remember a preflight, whatever a policy asks for."""

from typing import Final

# Chromium: services/network/public/cpp/cors/preflight_result.cc, `kMaxTimeout`. Firefox: netwerk/protocol/http/nsCORSListenerProxy.cpp,
# "Cap at 24 hours". Safari: Source/WebCore/loader/CrossOriginPreflightResultCache.cpp, `maxPreflightCacheTimeout`.
CAPS_S: Final = {"Chromium": 7200, "Firefox": 86400, "Safari": 600}


def remembered_s(max_age_s: int) -> dict[str, int]:
    """
    Return for how many seconds each browser remembers a preflight that says this `Access-Control-Max-Age`; 0 is not at all.

    Pure.

    Spec: Fetch #http-access-control-max-age, #cors-preflight-cache ("user agents may impose an implementation-defined limit").
    """
    return {browser: min(max_age_s, cap) for browser, cap in CAPS_S.items()}
