"""Settings for the whole suite.  Helpers live in modules of their own: `reference` (the truth),
`directions` and `strategies` (problems), `layouts` (memory), `checks` (bounds and refusals)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# FASTCONV_EXAMPLES raises the number of random problems per test; the default is for every commit
# and repeatable, more than that explores.
EXAMPLES = int(os.environ.get("FASTCONV_EXAMPLES", "100"))
settings.register_profile(
    "fastconv",
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 100,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fastconv")
