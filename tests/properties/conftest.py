"""Hypothesis profiles: `ci` is bounded and the same every time, `fuzz` (HYPOTHESIS_PROFILE=fuzz, `make fuzz`) looks much further."""

import os

from hypothesis import HealthCheck, settings

# One gateway serves all examples of a test, on purpose.
_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]

settings.register_profile("ci", max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=_FINE)
settings.register_profile(
    "fuzz", max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "20000")), deadline=None, suppress_health_check=_FINE
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
