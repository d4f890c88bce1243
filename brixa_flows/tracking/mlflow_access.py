"""Calls to MLflow that end: in bounded time, and with an error of ours or a result.

MLflow's own HTTP client retries for four minutes and SQLAlchemy for two when nobody
answers. Its settings for that are environment variables of the whole process, which
belong to the user. So a backend behind a network is asked for a sign of life before a
call and again while a call takes long; only one that stays silent ends the call.

Of writers that meet in a database MLflow fails some: sqlite is locked, PostgreSQL finds
a deadlock, two insert the same row. Whoever lost is rolled back, so it tries again.
"""

from __future__ import annotations

import logging
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from brixa_flows.errors import (
    MissingExtraError,
    TrackingError,
    TrackingUnavailableError,
)
from brixa_flows.tracking.mlflow_file import CALLED_BY_US, OpenedFiles
from brixa_flows.tracking.mlflow_waits import Unanswered, check_numbers, watched

__all__ = [
    "MlflowAccess",
    "quiet_migrations",
    "with_installed_driver",
    "without_credentials",
]

_Result = TypeVar("_Result")

_SIGN_OF_LIFE_TIMEOUT_SECONDS = 3.0
_SIGN_OF_LIFE_VALID_SECONDS = 2.0
_SIGN_OF_LIFE_ATTEMPTS = 2
_SECONDS_BETWEEN_ATTEMPTS = 0.5
_LONGEST_REASON = 300
_BAD_GATEWAY = (502, 503, 504)
_DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_KIND_WITH_EXTRA = "postgresql"
_SILENT = re.compile(r"API request to \S+ failed with (timeout )?exception")
_GONE = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
_PAUSES_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0)
_TRIED_WITHIN_SECONDS = {True: 10.0, False: 30.0}
"""By whether a file is opened: its lock is held by nobody for long who means well."""
_TOLD_AFTER_SECONDS = 3.5
_CALLS_AT_ONCE = 5
_LOCK_TIMEOUT = "due to lock timeout"
_LOST_A_RACE = re.compile(
    "database is locked|deadlock (detected|found)|could not serialize"
    r"|unique constraint|duplicate (key|entry)|giving up after \d+ attempts"
    "|queuepool limit|too many clients|connection slots are reserved",
    re.IGNORECASE,
)


_STATEMENT = re.compile(r"\s*(?:\[SQL:|\(Background on this error|CONTEXT:\s)")
_EXCEPTION = re.compile(
    r"\([a-z]\w*(?:\.\w+)*\.[A-Z]\w+\) |\(raised as a result of Query-invoked "
    r"autoflush;[^)]*\)\s*"
)
_WAITING = "the MLflow backend at %s: %s, for %.0f seconds by now; trying again"
_ANEW = (
    "restore it from a backup, or run brixa doctor --rebuild-tracking, which makes it "
    "anew from storage"
)
_HELD = (
    "another session may hold what is to be written there (in PostgreSQL, pg_locks tells "
    "which): end that one, or try again"
)
_REMEDIES = (
    (
        re.compile("readonly database|permission denied", re.IGNORECASE),
        "give this user write access to that file and its folder",
    ),
    (
        re.compile("not a database|malformed|no such table", re.IGNORECASE),
        f"move that file away, then {_ANEW}",
    ),
    (
        re.compile("is locked"),
        "another program has held it for many seconds; end that one, or try again",
    ),
    (
        re.compile("database schema|locate revision", re.IGNORECASE),
        "it was made by another release of MLflow: install that one here, or make a "
        "backup and run mlflow db upgrade if it is the older one",
    ),
    (re.compile("disk is full|disk i/o", re.IGNORECASE), "free room on that disk"),
)
_LOG = logging.getLogger(__name__)


def _is_told_by_mlflow(record: logging.LogRecord) -> bool:
    """MLflow logs the trace of a database error that it raises; we make it a sentence."""
    return not (CALLED_BY_US.get() and record.exc_info)


logging.getLogger("mlflow.store.db.utils").addFilter(_is_told_by_mlflow)


class MlflowAccess:
    """Runs calls against one backend.

    Args:
        uri: Tracking URI of MLflow.
        registry_uri: Registry URI of MLflow.
    """

    def __init__(self, uri: str, registry_uri: str) -> None:
        self.shown = without_credentials(uri)
        self._uri = uri
        self._parts = urlsplit(uri)
        self._seen_alive = float("-inf")
        self._files = OpenedFiles(uri, registry_uri)
        # A call of MLflow may hold two connections of its pool of 15, and waits for
        # the second while it holds the first.
        self._turns = threading.BoundedSemaphore(_CALLS_AT_ONCE)

    @property
    def is_http(self) -> bool:
        """An MLflow server answers there."""
        return self._parts.scheme in ("http", "https")

    @property
    def is_database(self) -> bool:
        """A database is opened directly."""
        return self._parts.scheme.split("+")[0] in ("sqlite", *_DEFAULT_PORTS)

    @property
    def is_embedded(self) -> bool:
        """A database file is opened directly."""
        return self.is_database and not self.is_remote

    @property
    def is_remote(self) -> bool:
        """There is a network in between."""
        return self.is_http or (self.is_database and bool(self._parts.hostname))

    def call(self, function: Callable[[], _Result]) -> _Result:
        """The result of ``function``, which calls MLflow.

        Args:
            function: Called again if it lost a race against another writer.

        Raises:
            TrackingUnavailableError: If the backend shows no sign of life.
            TrackingError: If MLflow refuses; its reason is in the sentence.
        """
        told = CALLED_BY_US.set(True)
        try:
            return self._call_again(function)
        except (MlflowException, SQLAlchemyError) as err:
            raise self._translated(err) from err
        finally:
            CALLED_BY_US.reset(told)

    def _call_again(self, function: Callable[[], _Result]) -> _Result:
        begun, is_told = time.monotonic(), False
        within_seconds = _TRIED_WITHIN_SECONDS[self.is_embedded]
        for pause_seconds in _PAUSES_SECONDS:
            try:
                return self._call_once(function)
            except (MlflowException, SQLAlchemyError) as err:
                # Who waits in the database, as for sqlite's lock, has no more to gain.
                waited_seconds = time.monotonic() - begun
                late = waited_seconds > within_seconds
                if late or not _LOST_A_RACE.search(str(err)):
                    raise
                if not is_told and waited_seconds > _TOLD_AFTER_SECONDS:
                    _LOG.warning(_WAITING, self.shown, _plain(str(err)), waited_seconds)
                    is_told = True
            time.sleep(pause_seconds * random.uniform(0.5, 1.5))
        return self._call_once(function)

    def _call_once(self, function: Callable[[], _Result]) -> _Result:
        if self.is_http:
            self.check_alive()
            return self._watch(function)
        with self._turns:
            if not self.is_remote:
                return function()
            self.check_alive()
            return self._watch(function)

    def check_alive(self, *, again: bool = False) -> None:
        """Return if the backend showed a sign of life, now or right before.

        Args:
            again: Ask it now, however short ago it answered.

        Raises:
            TrackingUnavailableError: If there was none.
        """
        fresh = time.monotonic() - self._seen_alive < _SIGN_OF_LIFE_VALID_SECONDS
        if not self.is_remote or (fresh and not again):
            return
        reason = ""
        for attempt in range(_SIGN_OF_LIFE_ATTEMPTS):
            if attempt:
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            reason = self._why_silent()
            if not reason:
                self._seen_alive = time.monotonic()
                return
        raise TrackingUnavailableError(self.shown, reason)

    def look_before_opening(self) -> None:
        """Go on if MLflow's client may be made, which tries for minutes else.

        Raises:
            SettingsError: If a setting of MLflow's client is no number.
            BrixaError: As :meth:`check_alive`, :meth:`log_in`, :meth:`refuse_no_file`.
        """
        if self.is_http:
            check_numbers()
        self.check_alive()
        self.log_in()
        self.refuse_no_file()

    def log_in(self) -> None:
        """Connect to a database once, as MLflow retries a wrong password for minutes.

        Raises:
            TrackingUnavailableError: If it lets nobody in.
            MissingExtraError: If its driver is not installed and an extra brings it.
            TrackingError: If its driver is not installed.
        """
        if not (self.is_database and self.is_remote):
            return
        try:
            engine = create_engine(self._uri, poolclass=NullPool)
        except ModuleNotFoundError as err:
            raise self._without_driver(str(err.name)) from err
        self.call(lambda: engine.connect().close())

    def refuse_no_file(self) -> None:
        """Go on if nothing but a file is in the place of an embedded database.

        Raises:
            TrackingUnavailableError: If a folder is; MLflow tries for minutes to open it.
        """
        other = self._files.no_file()
        if other is not None:
            reason = f"{other.name} is a folder, or no regular file"
            raise TrackingUnavailableError(
                self.shown, reason, f"move it away, then {_ANEW}"
            )

    def opened(self) -> bool:
        """Connections were made right now; whether they may lead to earlier files."""
        return self._files.note()

    def is_replaced(self) -> bool:
        """Whether connections lead to a file that was moved away since.

        Raises:
            TrackingUnavailableError: If no other one is in its place.
        """
        if not self._files.are_others():
            return False
        gone = self._files.gone()
        if gone is not None:
            raise TrackingUnavailableError(self.shown, f"{gone.name} is gone", _ANEW)
        return True

    def _without_driver(self, package: str) -> MissingExtraError | TrackingError:
        kind = self._parts.scheme.split("+")[0]
        if kind == _KIND_WITH_EXTRA:
            where = f"the MLflow backend at {self.shown}"
            return MissingExtraError(where, kind, package)
        return TrackingError(
            f"the MLflow backend at {self.shown} needs the driver {package!r}, which is "
            f"not installed; install the one that the address names for {kind}"
        )

    def _why_silent(self) -> str:
        """An empty text if the backend answers, else the reason."""
        try:
            return self._ask_server() if self.is_http else self._ask_database()
        except (OSError, requests.RequestException) as err:
            return _root_cause(err)

    def _ask_server(self) -> str:
        credentials = get_default_host_creds(self._uri)
        answer = requests.get(
            f"{self._uri.rstrip('/')}/health",
            timeout=_SIGN_OF_LIFE_TIMEOUT_SECONDS,
            verify=credentials.verify,
        )
        return (
            f"HTTP {answer.status_code}" if answer.status_code in _BAD_GATEWAY else ""
        )

    def _ask_database(self) -> str:
        port = self._parts.port
        port = port or _DEFAULT_PORTS[self._parts.scheme.split("+")[0]]
        address = (self._parts.hostname, port)
        with socket.create_connection(address, timeout=_SIGN_OF_LIFE_TIMEOUT_SECONDS):
            return ""

    def _watch(self, function: Callable[[], _Result]) -> _Result:
        try:
            return watched(
                function,
                lambda: self.check_alive(again=True),
                _SIGN_OF_LIFE_TIMEOUT_SECONDS,
                is_server=self.is_http,
            )
        except Unanswered as err:
            reason = f"it is alive and has not answered a request for {err}"
            raise TrackingUnavailableError(self.shown, reason, _HELD) from err

    def _translated(self, err: MlflowException | SQLAlchemyError) -> TrackingError:
        cause = getattr(err, "orig", None) or err
        reason = _plain(str(cause).replace(self._uri, self.shown))
        code = str(getattr(err, "error_code", ""))
        if code in _GONE or isinstance(err, OperationalError) or _SILENT.search(reason):
            return TrackingUnavailableError(self.shown, reason, self._remedy(reason))
        remedy = self._remedy(reason)
        return TrackingError(
            f"the MLflow backend at {self.shown} refused: {reason}"
            + (f"; {remedy}" if remedy else ""),
            uri=self.shown,
            code=code,
        )

    def _remedy(self, reason: str) -> str:
        """What to do about a database that can't be used."""
        if _LOCK_TIMEOUT in reason:
            return _HELD
        if not self.is_embedded:
            return ""
        return next((said for sign, said in _REMEDIES if sign.search(reason)), "")


def without_credentials(uri: str) -> str:
    """``uri`` as it may be shown: no user, password or query."""
    parts = urlsplit(uri)
    if not parts.netloc:
        return uri.partition("?")[0]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def with_installed_driver(uri: str) -> str:
    """``postgresql://`` by psycopg2 where only that is installed.

    SQLAlchemy 2.1 takes psycopg (3) for it, earlier ones psycopg2.
    """
    bare = "postgresql://"
    if not uri.startswith(bare) or find_spec("psycopg") or not find_spec("psycopg2"):
        return uri
    return f"postgresql+psycopg2://{uri.removeprefix(bare)}"


def quiet_migrations() -> None:
    """Keep the log lines of creating a database off the user's terminal."""
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _plain(text: str) -> str:
    """What a database says, without the statement, its values and exception's name."""
    return _one_line(_EXCEPTION.sub("", _STATEMENT.split(text)[0]))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."


def _root_cause(err: BaseException) -> str:
    """``Connection refused`` instead of three wrapped exceptions."""
    if isinstance(err, TimeoutError | requests.Timeout):
        return f"no answer in {_SIGN_OF_LIFE_TIMEOUT_SECONDS:g} seconds"
    seen: BaseException | None = err
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        reason = getattr(seen.args[0], "reason", None) if seen.args else None
        seen = reason or seen.__cause__ or seen.__context__
    return _one_line(str(err))
