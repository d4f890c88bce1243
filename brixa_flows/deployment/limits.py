"""Variables of a deployment's environment that a replica itself reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brixa_flows.errors import InvalidDeploymentError, SettingsError
from brixa_flows.settings import BrixaSettings

__all__ = ["Limits", "check_variables"]

_MOST_DIGITS = 12


@dataclass(frozen=True)
class Limits:
    """How much a replica takes at once.

    Attributes:
        max_batch_rows: Rows that waiting requests are merged up to; 1 merges none.
        max_waiting: Requests in flight before others are told to come back.
        max_body_bytes: Size of a request.
        max_body_seconds: How long a caller may take to send it.
    """

    max_batch_rows: int = 64
    max_waiting: int = 256
    max_body_bytes: int = 64 * 1024 * 1024
    max_body_seconds: int = 60

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Limits:
        """Read MAX_BATCH_SIZE, MAX_CONCURRENT_REQUESTS and so on.

        Raises:
            InvalidDeploymentError: If one is no positive whole number.
        """
        default = cls()
        return cls(
            _positive(environment, "MAX_BATCH_SIZE", default.max_batch_rows),
            _positive(environment, "MAX_CONCURRENT_REQUESTS", default.max_waiting),
            _positive(environment, "MAX_REQUEST_BYTES", default.max_body_bytes),
            _positive(environment, "MAX_BODY_SECONDS", default.max_body_seconds),
        )


def _positive(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    if not number or not int(text):
        raise InvalidDeploymentError(
            f"env_vars.{name} = {text[:40]!r} is not a positive whole number; give one "
            f"such as {default}, or leave it out"
        )
    return int(text)


def check_variables(env_vars: Mapping[str, str]) -> None:
    """Return if replicas can start in an environment with these variables.

    Raises:
        InvalidDeploymentError: If a variable that they read can't have its value; names
            it and what is allowed.
    """
    Limits.from_environment(env_vars)
    try:
        BrixaSettings.check(env_vars)
    except SettingsError as err:
        raise InvalidDeploymentError(f"env_vars.{err.message}") from err
