"""Bounds how long a call waits for a backend that is alive and does not answer.

Another session may hold a row of a database for as long as it likes, and who wants to
write that row waits for it. MLflow bounds that for no database but sqlite, and its HTTP
client asks eight times, two minutes each. What bounds are set here is of our own calls
only: the connections may be shared with other code of the process.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
)
from mlflow.tracking._model_registry.client import ModelRegistryClient
from sqlalchemy import Connection, event

from brixa_flows.errors import SettingsError
from brixa_flows.tracking.mlflow_file import CALLED_BY_US

__all__ = ["Unanswered", "bound_waits", "check_numbers", "transferring", "watched"]

_Result = TypeVar("_Result")

_LOCK_TIMEOUT_SECONDS = 12
"""As long as sqlite's lock is waited for; see ``mlflow_access``."""


def check_numbers() -> None:
    """Go on if MLflow's settings of how long a server is waited for are numbers.

    Raises:
        SettingsError: If one is none, with which no request to a server can begin.
    """
    for setting in (
        MLFLOW_HTTP_REQUEST_TIMEOUT,
        MLFLOW_HTTP_REQUEST_MAX_RETRIES,
        MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR,
    ):
        given, least = (
            os.environ.get(setting.name),
            setting is MLFLOW_HTTP_REQUEST_TIMEOUT,
        )
        try:
            sound = setting.get() >= least
        except ValueError:
            sound = False
        if not sound:
            raise SettingsError(
                setting.name,
                f"= {given!r} is not a whole number from {int(least)} upwards, so no MLflow "
                f"server can be asked; correct it, or unset it ({setting.default} counts "
                "then)",
            )


class Unanswered(Exception):
    """A request to a server that is alive had no answer in the time it is given."""


@dataclass
class _Progress:
    """Of one call: when its last request began, and whether files are on their way."""

    since: float = field(default_factory=time.monotonic)
    is_transfer: bool = False


_PROGRESS: contextvars.ContextVar[_Progress | None]
_PROGRESS = contextvars.ContextVar("brixa_mlflow_progress", default=None)


def watched(
    function: Callable[[], _Result],
    check_alive: Callable[[], None],
    every_seconds: float,
    *,
    is_server: bool,
) -> _Result:
    """Run in a thread that is left alone once the backend is found dead, or silent.

    Args:
        function: Calls MLflow.
        check_alive: Raises if the backend is dead.
        every_seconds: How often to look.
        is_server: It is asked by requests, of which one sees whether they are answered.

    Raises:
        Unanswered: If a request has no answer within ``MLFLOW_HTTP_REQUEST_TIMEOUT``.
    """
    context, progress = contextvars.copy_context(), _Progress()
    context.run(_PROGRESS.set, progress)
    answers: SimpleQueue[tuple[_Result | None, BaseException | None]]
    answers = SimpleQueue()

    def work() -> None:
        try:
            answers.put((context.run(function), None))
        except BaseException as err:  # noqa: B036, raised in the caller below
            answers.put((None, err))

    threading.Thread(target=work, name="brixa-mlflow", daemon=True).start()
    while True:
        try:
            result, error = answers.get(timeout=every_seconds)
        except Empty:
            check_alive()
            if is_server:
                _refuse_silence(progress)
            continue
        if error is not None:
            raise error
        return result  # type: ignore[return-value]


def _refuse_silence(progress: _Progress) -> None:
    timeout_seconds = float(MLFLOW_HTTP_REQUEST_TIMEOUT.get())
    late = time.monotonic() - progress.since > timeout_seconds
    if late and not progress.is_transfer:
        raise Unanswered(f"{timeout_seconds:g} seconds (MLFLOW_HTTP_REQUEST_TIMEOUT)")


@contextmanager
def transferring() -> Iterator[None]:
    """While files are sent or fetched, which takes as long as they are large."""
    progress = _PROGRESS.get() or _Progress()
    progress.is_transfer = True
    try:
        yield
    finally:
        progress.since, progress.is_transfer = time.monotonic(), False


def bound_waits(client: MlflowClient, models: ModelRegistryClient) -> None:
    """Bound what calls of ours by these clients wait for; safe to repeat."""
    for store in (client._tracking_client.store, models.store):
        engine = getattr(store, "engine", None)
        if engine is not None and engine.dialect.name == "postgresql":
            if not event.contains(engine, "begin", _wait_for_no_lock):
                event.listen(engine, "begin", _wait_for_no_lock)
        credentials = getattr(store, "get_host_creds", None)
        if credentials is not None and not isinstance(credentials, _Noting):
            store.get_host_creds = _Noting(credentials)


def _wait_for_no_lock(connection: Connection) -> None:
    """Of one transaction, as a pooler in between may give the session to others."""
    if CALLED_BY_US.get():
        seconds = _LOCK_TIMEOUT_SECONDS
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{seconds}s'")


@dataclass(frozen=True)
class _Noting:
    """MLflow asks for credentials before each request: the one before was answered."""

    credentials: Callable[[], Any]

    def __call__(self) -> Any:
        progress = _PROGRESS.get()
        if progress is not None:
            progress.since = time.monotonic()
        return self.credentials()
