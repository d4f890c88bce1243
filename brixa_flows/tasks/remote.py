"""How tasks that talk to something remote are tried again, and when they give up.

Prefect, MLflow, the storage and whoever is told of something may be away for a moment.
What may pass is tried again with growing pauses, each up to a third longer or shorter so
that many runs do not come back at once; a mistake is told at once. A clock stops what is
quick by nature; inside, each client has its own: 60 s for Prefect
(``PREFECT_API_REQUEST_TIMEOUT``) and for a deployed model, 120 s for MLflow
(``MLFLOW_HTTP_REQUEST_TIMEOUT``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import httpx
from prefect import State, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import TaskRun

from brixa_flows.errors import StaleWriteError

__all__ = ["PAUSES_SECONDS", "QUICK_SECONDS", "may_pass", "remote_task"]

PAUSES_SECONDS = [1.0, 5.0, 15.0]
JITTER = 0.3
QUICK_SECONDS = 300.0

_P = ParamSpec("_P")
_R = TypeVar("_R")
# What does not answer raises a ConnectionError in our tree too, whatever it is.
_PASSING = (ConnectionError, TimeoutError, httpx.TransportError, StaleWriteError)


def may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether what failed is worth another try."""
    return isinstance(state.result(raise_on_failure=False), _PASSING)


def remote_task(
    task_run_name: str, timeout_seconds: float | None = QUICK_SECONDS
) -> Callable[[Callable[_P, _R]], Task[_P, _R]]:
    """A task that is tried again after what may pass; its result is never reused.

    Args:
        task_run_name: What a person reads; may name the arguments.
        timeout_seconds: When it gives up; ``None`` for work whose length is the model's
            or the data's.
    """
    return task(
        task_run_name=task_run_name,
        retries=len(PAUSES_SECONDS),
        retry_delay_seconds=PAUSES_SECONDS,
        retry_jitter_factor=JITTER,
        retry_condition_fn=may_pass,
        cache_policy=NO_CACHE,
        timeout_seconds=timeout_seconds,
    )
