"""The registry that a block describes, opened once in a process."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import httpx
from prefect.settings import get_current_settings

from brixa_flows.blocks import BrixaGatePolicy, BrixaRegistry
from brixa_flows.errors import OrchestrationError, PrefectUnavailableError
from brixa_flows.evaluation import GatePolicy
from brixa_flows.registry import ModelRegistry

__all__ = ["load_policy", "open_registry"]

_REMEDY = "save the project's documents with `python -m blocks`, or make one in the UI"


@lru_cache(maxsize=8)
def open_registry(block_name: str) -> ModelRegistry:
    """Open the registry of the block document ``block_name``.

    Raises:
        OrchestrationError: If there is no such document.
        PrefectUnavailableError: If the server does not answer.
    """
    try:
        block = cast(BrixaRegistry, BrixaRegistry.load(block_name))
    except ValueError as err:
        raise OrchestrationError(
            f"there is no Brixa Registry block called {block_name!r}; {_REMEDY}",
            block=block_name,
        ) from err
    except httpx.TransportError as err:
        url = get_current_settings().api.url or "(no PREFECT_API_URL)"
        raise PrefectUnavailableError(url, str(err) or type(err).__name__) from err
    return block.open()


def load_policy(block_name: str) -> GatePolicy:
    """The gate policy of the block document ``block_name``.

    Raises:
        OrchestrationError: If there is no such document.
    """
    try:
        block = cast(BrixaGatePolicy, BrixaGatePolicy.load(block_name))
    except ValueError as err:
        raise OrchestrationError(
            f"there is no Brixa Gate Policy block called {block_name!r}; {_REMEDY}",
            block=block_name,
        ) from err
    return block.policy(block_name)
