"""Where the tasks of a flow run: threads of its process, or a cluster's workers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from brixa_flows.errors import BrixaError, MissingExtraError, OrchestrationError

__all__ = ["RunnerName", "reaching_cluster", "task_runner"]

RunnerName = Literal["threads", "dask", "ray"]


def task_runner(name: RunnerName, at_once: int, address: str = "") -> TaskRunner[Any]:
    """A task runner of Prefect.

    Args:
        name: ``threads``; ``dask`` (extra ``dask``) or ``ray`` (extra ``ray``).
        at_once: How many tasks run at a time; a cluster that is there decides itself.
        address: Of a cluster that is there; without one, one on this machine is made
            for the run.

    Raises:
        MissingExtraError: If the library is not installed.
    """
    make: dict[str, Callable[[int, str], TaskRunner[Any]]] = {
        "threads": lambda workers, _: ThreadPoolTaskRunner(max_workers=workers),
        "dask": _dask,
        "ray": _ray,
    }
    return make[name](at_once, address)


def _dask(workers: int, address: str) -> TaskRunner[Any]:
    kind = _adapter("prefect_dask", "dask").DaskTaskRunner
    if address:
        runner: TaskRunner[Any] = kind(address=address)
        return runner
    local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    own: TaskRunner[Any] = kind(cluster_kwargs=local)
    return own


def _ray(workers: int, address: str) -> TaskRunner[Any]:
    kind = _adapter("prefect_ray", "ray").RayTaskRunner
    if address:
        runner: TaskRunner[Any] = kind(address=address)
        return runner
    local = {"num_cpus": workers, "include_dashboard": False}
    own: TaskRunner[Any] = kind(init_kwargs=local)
    return own


def _adapter(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        what = f"the task runner {extra!r}"
        raise MissingExtraError(what, extra, err.name or module) from err


@contextmanager
def reaching_cluster(name: str, address: str) -> Iterator[None]:
    """Say of a cluster that does not answer what and where it is.

    Args:
        name: Of the task runner.
        address: Of the cluster; empty is one on this machine.

    Raises:
        OrchestrationError: If the block can't reach it.
    """
    try:
        yield
    except OSError as err:
        if not address or isinstance(err, BrixaError):
            raise
        raise OrchestrationError(
            f"no {name} cluster answers at {address} ({err}); correct `cluster`, or leave "
            "it empty for one on this machine"
        ) from err
