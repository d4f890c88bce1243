"""Which registry the flows use: the one that the BRXA_ variables describe."""

from __future__ import annotations

from prefect.blocks.core import Block

from brixa_flows.blocks import BrixaRegistry
from brixa_flows.settings import BrixaSettings

NAME = "brixa"


def registry() -> list[tuple[str, Block]]:
    """The registry of the environment, after the storage and backend that it names.

    A user, password or token of MLflow is typed in the UI; it stays over saves.
    """
    described = BrixaRegistry.from_settings(BrixaSettings.load())
    return [
        (NAME, described.storage),
        (NAME, described.backend),
        (NAME, described),
    ]
