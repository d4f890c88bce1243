"""What a failed run says: one sentence, and a link to what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib.resources import files
from inspect import signature
from typing import ParamSpec, TypeVar

import httpx
from prefect import runtime
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import PrefectException
from pydantic import ValidationError

from brixa_flows.blocks.appearance import DOCUMENTATION
from brixa_flows.errors import BrixaError, OrchestrationError
from brixa_flows.tasks.run_page import artifact_address

__all__ = ["REMEDIES", "links_remedy"]

REMEDIES = "when_a_run_fails.md"
_KEY = "when-a-run-fails"
_P = ParamSpec("_P")
_R = TypeVar("_R")


def links_remedy(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a flow's function end an error of ours with a link, unless it has one.

    Prefect shows the message of the error as that of the run's state, and notifications
    carry it. The link leads to an artifact of the run, as the UI is the one page that
    each installation has.

    Args:
        function: What ``@flow`` decorates.
    """

    @wraps(function)
    def linked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except BrixaError as err:
            if "://" not in err.message.rpartition(" ")[2]:
                err.message = _with_link(err.message)
                err.args = (err.message,)
            raise
        except ValidationError as err:  # has a line for each fault
            raise OrchestrationError(_with_link(_faults(err))) from err

    # Prefect looks up the names of types among the globals of the function it is given.
    vars(linked)["__signature__"] = signature(function, eval_str=True)
    return linked


def _faults(err: ValidationError) -> str:
    """What is wrong with values, in one sentence."""
    faults = (
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in err.errors()
    )
    return f"wrong values for {err.title}: {'; '.join(faults)}"


def _with_link(message: str) -> str:
    return f"{message}; about failed runs: {_page(message) or DOCUMENTATION}"


def _page(message: str) -> str:
    """Address of a page about failed runs; empty if the server keeps none."""
    if not runtime.flow_run.id:
        return ""
    remedies = files("brixa_flows.tasks").joinpath(REMEDIES).read_text()
    text = f"# This run failed\n\n{message}\n\n{remedies}"
    try:
        made = create_markdown_artifact(text, key=_KEY, description=message[:200])
    except (httpx.HTTPError, PrefectException, RuntimeError):
        return ""  # that it is away may be what the run failed for
    return artifact_address(made)
