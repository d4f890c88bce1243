"""The warning about what somebody gave a model and its file does not keep."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from brixa_flows.errors import some_of
from brixa_flows.serializers.callers import callers_level

__all__ = ["LostAttributeWarning", "warn_of_lost"]


class LostAttributeWarning(UserWarning):
    """A model was saved without an attribute that somebody gave it."""


def warn_of_lost(model: object, lost: Sequence[str], remedy: str) -> None:
    """Warn at the caller's line, if anything is lost.

    Args:
        model: The model.
        lost: Names of the attributes.
        remedy: What keeps them.
    """
    if lost:
        warnings.warn(
            f"the {type(model).__name__} is saved without its attributes "
            f"{some_of(lost)}; {remedy}",
            LostAttributeWarning,
            stacklevel=callers_level(),
        )
