"""What all our block types show in the Prefect UI."""

from __future__ import annotations

import os

from pydantic import HttpUrl

__all__ = ["DOCUMENTATION", "LOGO"]

DOCUMENTATION = HttpUrl("https://pypi.org/project/brixa-flows/")
# The Prefect UI shows a picture only by its web address (a data URI in a block type makes
# every Prefect client that lists block types fail), and no public address is ours:
# whoever serves the bundled logo.png says where. Settings refuse a bad address.
_ADDRESS = os.environ.get("BRXA_LOGO_URL", "")
LOGO = HttpUrl(_ADDRESS) if _ADDRESS.startswith("http") else None
