"""Fixtures that every suite may use, and how hypothesis behaves on a machine that is busy with the other workers.

A run draws the same examples each time, so that what fails fails for a change; `make property` draws fresh ones.
"""

import os

from hypothesis import HealthCheck, settings

from tests.compat.oracle import etcd34, etcd35

__all__ = ["etcd34", "etcd35"]

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", BUSY, derandomize=True, database=None)
settings.register_profile("fresh", BUSY, max_examples=int(os.environ.get("EXAMPLES", "1000")))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
