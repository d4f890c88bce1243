"""What block documents describe, by their names; the registry is opened once."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar, cast

import httpx
from prefect.blocks.core import Block
from prefect.settings import get_current_settings

from brixa_flows.blocks import (
    BrixaDriftPolicy,
    BrixaGatePolicy,
    BrixaRegistry,
    BrixaServingTarget,
    BrixaSigningKeys,
)
from brixa_flows.drift import DriftPolicy
from brixa_flows.errors import OrchestrationError, PrefectUnavailableError
from brixa_flows.evaluation import GatePolicy
from brixa_flows.outbox import Outbox
from brixa_flows.registry import ModelRegistry

__all__ = [
    "load_drift_policy",
    "load_policy",
    "load_signing_keys",
    "load_target",
    "open_registry",
]

_REMEDY = "save the project's documents with `python -m blocks`, or make one in the UI"
_INVALID = "failed validation"  # what Prefect says of a document of another schema
_Kind = TypeVar("_Kind", bound=Block)


@lru_cache(maxsize=8)
def open_registry(block_name: str) -> ModelRegistry:
    """Open the registry of the block document ``block_name``.

    From the first time on, its changes are announced.

    Raises:
        OrchestrationError: If there is no such document.
        PrefectUnavailableError: If the server does not answer.
    """
    registry = _load(BrixaRegistry, block_name).open()
    Outbox(registry).begin()
    return registry


def load_policy(block_name: str) -> GatePolicy:
    """The gate policy of the block document ``block_name``.

    Raises:
        OrchestrationError: If there is no such document.
        PrefectUnavailableError: If the server does not answer.
    """
    return _load(BrixaGatePolicy, block_name).policy(block_name)


def load_drift_policy(block_name: str) -> DriftPolicy:
    """The drift policy of a block document; without a name every drift is an alarm.

    Raises:
        OrchestrationError: If there is no such document.
        PrefectUnavailableError: If the server does not answer.
    """
    return _load(BrixaDriftPolicy, block_name).policy() if block_name else DriftPolicy()


def load_target(block_name: str) -> BrixaServingTarget:
    """The serving target of a block document; without a name that of the settings.

    Raises:
        OrchestrationError: If there is no such document.
        PrefectUnavailableError: If the server does not answer.
    """
    if not block_name:
        return BrixaServingTarget()
    return _load(BrixaServingTarget, block_name)


def load_signing_keys(block_name: str) -> BrixaSigningKeys:
    """The signing keys of the block document ``block_name``.

    Raises:
        OrchestrationError: If there is no such document.
        PrefectUnavailableError: If the server does not answer.
    """
    return _load(BrixaSigningKeys, block_name)


def _load(kind: type[_Kind], block_name: str) -> _Kind:
    try:
        # Without _sync Prefect hands back a coroutine inside of an async flow.
        return cast(_Kind, kind.load(block_name, _sync=True))  # type: ignore[call-arg]
    except ValueError as err:
        what = kind.get_block_type_name()
        raise OrchestrationError(
            f"there is no {what} block called {block_name!r}; {_remedy()}",
            block=block_name,
        ) from err
    except RuntimeError as err:
        if _INVALID not in str(err):
            raise
        what = kind.get_block_type_name()
        raise OrchestrationError(
            f"the {what} block {block_name!r} lacks what this release needs, or holds "
            f"what it does not know; {_remedy()}",
            block=block_name,
        ) from err
    except httpx.TransportError as err:
        url = get_current_settings().api.url or "(no PREFECT_API_URL)"
        raise PrefectUnavailableError(url, str(err) or type(err).__name__) from err


def _remedy() -> str:
    """What to do about a block, with the page of the UI where it is done."""
    ui_url = get_current_settings().ui_url
    return f"{_REMEDY}: {ui_url}/blocks/catalog" if ui_url else _REMEDY
