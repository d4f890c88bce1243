"""What a machine must have for some tests, and the rule when it has it not.

``require("PostgreSQL", found)`` skips the test by the name of what is absent. With
``BRIXA_TEST_REQUIRE_ALL=1``, which ``.ci/run`` sets after installing everything, the
absence is a failure, so that no test is skipped unseen.
"""

from __future__ import annotations

import os

import pytest

__all__ = ["require"]


def require(name: str, found: bool) -> None:
    """Go on if ``found``; else skip, or fail where everything must be present."""
    if found:
        return
    reason = f"{name} is not installed on this machine"
    if os.environ.get("BRIXA_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason}, but BRIXA_TEST_REQUIRE_ALL=1 asks for it")
    pytest.skip(reason)
