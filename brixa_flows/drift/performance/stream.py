"""Errors one by one: when did they begin to be more, said as soon as it is sure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from brixa_flows.errors import DriftError
from brixa_flows.plugins import ERROR_DETECTORS

__all__ = ["ErrorChange", "ErrorDetector", "ErrorStream"]

_LAST = 100


class ErrorDetector(Protocol):
    """What looks at a stream: ``brixa_flows.error_detectors``. Not thread-safe."""

    def update(self, error: float) -> bool:
        """Take one error, and say whether they have changed.

        After it said so it begins anew with what comes next.
        """
        ...


@dataclass(frozen=True)
class ErrorChange:
    """Where a detector was sure.

    Attributes:
        place: Number of the error at which it was, the first is 0.
        before: Mean of the errors since the change before (or the begin), but the last
            hundred, in which the change lies.
        now: Mean of the last hundred.
    """

    place: int
    before: float
    now: float

    @property
    def worse(self) -> bool:
        """Whether errors became larger."""
        return self.now > self.before


class ErrorStream:
    """Looks at errors in the order in which labels come.

    An error is 0 or 1 of a class, or the absolute error of a regression. It sees
    concept drift, because it sees labels, and needs no windows.

    Args:
        detector: ``adwin`` (Bifet and Gavalda, 2007) or ``page_hinkley``, both of river
            (extra ``stream``), or the name of a plug-in.
        **options: Of the detector: ``delta`` of ADWIN, ``threshold`` of Page-Hinkley.

    Raises:
        UnknownPluginError: If there is no such detector.
        MissingExtraError: If river is not installed.
        DriftError: If the detector does not take the options.
    """

    def __init__(self, detector: str = "adwin", **options: float) -> None:
        made = ERROR_DETECTORS.load(detector)
        try:
            self._detector: ErrorDetector = made(**options)
        except (TypeError, ValueError) as err:
            raise DriftError(
                f"the detector {detector!r} does not take the options {options}: {err}"
            ) from err
        self._since: list[float] = []
        self._seen = 0
        self.changes: list[ErrorChange] = []

    def update(self, errors: Iterable[float]) -> list[ErrorChange]:
        """Look at the next errors.

        Args:
            errors: Finite, at least 0; of any number.

        Returns:
            Changes that became sure in them; :attr:`changes` has all.

        Raises:
            DriftError: If an error is no number of at least 0.
        """
        found = []
        for value in errors:
            error = self._checked(value)
            self._since.append(error)
            if self._detector.update(error):
                found.append(self._change())
                self._since.clear()
            self._seen += 1
        self.changes += found
        return found

    def _checked(self, value: Any) -> float:
        try:
            error = float(value)
        except (TypeError, ValueError, OverflowError):
            error = float("nan")
        if not np.isfinite(error) or error < 0:
            raise DriftError(
                f"error {self._seen} is {value!r}; errors are finite and at least 0, "
                "such as 0 and 1, or the absolute error"
            )
        return error

    def _change(self) -> ErrorChange:
        last = max(min(_LAST, len(self._since) // 2), 1)
        before = self._since[:-last] or self._since
        now = self._since[-last:]
        return ErrorChange(self._seen, float(np.mean(before)), float(np.mean(now)))
