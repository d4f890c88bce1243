"""Which registry the flows use: the one that the BRXA_ variables describe."""

from __future__ import annotations

from brixa_flows.blocks import BrixaRegistry
from brixa_flows.settings import BrixaSettings

NAME = "brixa"


def registry() -> tuple[str, BrixaRegistry]:
    """The registry of the environment, with an absolute folder if it is local."""
    settings = BrixaSettings.load()
    return NAME, BrixaRegistry.from_settings(settings)
