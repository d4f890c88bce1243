"""Every task that talks to something remote is tried again after what may pass."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from prefect import Task, flow
from prefect.logging import disable_run_logger
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    temporary_settings,
)

import brixa_flows.tasks
from brixa_flows.demo.stack import PrefectStack
from brixa_flows.deployment import EndpointClient
from brixa_flows.errors import (
    BrixaError,
    OrchestrationError,
    PrefectUnavailableError,
    TrackingUnavailableError,
)
from brixa_flows.tasks.remote import (
    PAUSES_SECONDS,
    QUICK_SECONDS,
    may_pass,
    remote_task,
)

FLOWS = Path(__file__).parents[2] / "flows"
LOCAL = {"split_months", "fit"}  # read files, train
LASTING = {
    "adopt_training",
    "compare_with_production",
    "conclude_evaluation",
    "evaluate_version",
    "find_closed_windows",
    "judge_window",
    "judge_window_performance",
    "learn_estimator",
    "log_model",
    "predict_rows",
    "read_window",
    "reconcile_registry",
    "roll_out",
    "serve_again",
    "sign_version",
    "soak",
}

pytestmark = [
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def _tasks() -> dict[str, Task[..., Any]]:
    """Every task of the package and of the flows."""
    names = [
        f"brixa_flows.tasks.{module.name}"
        for module in pkgutil.iter_modules(brixa_flows.tasks.__path__)
    ]
    names += [f"flows.{file.stem}" for file in FLOWS.glob("*.py")]
    return {
        each.fn.__name__: each
        for name in names
        for each in vars(importlib.import_module(name)).values()
        if isinstance(each, Task)
    }


def test_every_task_has_the_policy() -> None:
    tasks = _tasks()
    assert {"announce", "send", "reconcile_registry", *LOCAL, *LASTING} <= tasks.keys()
    for name, each in tasks.items():
        if name not in LOCAL:
            assert each.retry_delay_seconds == PAUSES_SECONDS, name
            assert each.retries == len(PAUSES_SECONDS) and each.retry_jitter_factor
            assert each.retry_condition_fn is may_pass, name
    unclocked = {name for name, each in tasks.items() if not each.timeout_seconds}
    assert unclocked == LASTING | LOCAL


def test_every_client_gives_up_in_time() -> None:
    assert 0 < PREFECT_API_REQUEST_TIMEOUT.value() <= QUICK_SECONDS
    mlflow_timeout = importlib.import_module("mlflow.environment_variables")
    assert 0 < mlflow_timeout.MLFLOW_HTTP_REQUEST_TIMEOUT.get() <= QUICK_SECONDS
    with EndpointClient("http://127.0.0.1:9") as client:
        assert 0 < (client._transport._connection.timeout or 0) <= QUICK_SECONDS


@pytest.mark.parametrize(
    ("failure", "tries"),
    [
        (PrefectUnavailableError("http://there", "refused"), 3),
        (TrackingUnavailableError("http://there", "refused"), 3),
        (TimeoutError("a client's clock"), 3),
        (OrchestrationError("there is no such block"), 1),
    ],
)
def test_what_may_pass_is_tried_again_and_a_mistake_is_not(
    stack: PrefectStack, failure: Exception, tries: int
) -> None:
    seen: list[int] = []

    @remote_task("ask")
    def ask() -> int:
        seen.append(len(seen))
        if len(seen) < 3:
            raise failure
        return len(seen)

    patient = ask.with_options(retry_delay_seconds=0)

    @flow
    def asking() -> int:
        return patient()

    with temporary_settings({PREFECT_API_URL: stack.api.url}), disable_run_logger():
        if tries == 1:
            with pytest.raises(BrixaError):
                asking()
        else:
            assert asking() == tries
    assert len(seen) == tries
