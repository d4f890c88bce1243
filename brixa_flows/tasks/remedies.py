"""What a failed run says: one sentence, and a link to what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from brixa_flows.blocks.appearance import DOCUMENTATION
from brixa_flows.errors import BrixaError

__all__ = ["links_remedy"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def links_remedy(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a flow's function end an error of ours with a link, unless it has one.

    Prefect shows the message of the error as that of the run's state, and notifications
    carry it.

    Args:
        function: What ``@flow`` decorates.
    """

    @wraps(function)
    def linked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except BrixaError as err:
            if "://" not in err.message.rpartition(" ")[2]:
                err.message = f"{err.message}; about failed runs: {DOCUMENTATION}"
                err.args = (err.message,)
            raise

    # Prefect looks up the names of types among the globals of the function it is given.
    vars(linked)["__signature__"] = signature(function, eval_str=True)
    return linked
