"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# how long an example takes says something of the machine, which others may share, and nothing of the code
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")
