"""What a comparison is asked for: numbers that can be, and columns that are there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from brixa_flows.drift.profile import DriftProfile
from brixa_flows.drift.report import Finding
from brixa_flows.errors import DriftError, UnknownPluginError, some_of

__all__ = [
    "checked_alpha",
    "checked_rows",
    "checked_thresholds",
    "ignored_findings",
    "judged_names",
]


def checked_rows(rows: Any, name: str = "min_rows") -> int:
    """A whole number of at least 1.

    Args:
        rows: What is to be one.
        name: Of the argument.

    Raises:
        DriftError: If it is none.
    """
    if isinstance(rows, bool) or not isinstance(rows, Integral) or rows < 1:
        raise DriftError(
            f"{name} is a whole number of at least 1, such as 200, not {rows!r}"
        )
    return int(rows)


def checked_alpha(alpha: Any) -> float:
    """A number between 0 and 1.

    Raises:
        DriftError: If it is none.
    """
    if not _is_number(alpha) or not 0 < alpha < 1:
        raise DriftError(
            f"alpha is a number within 0 to 1, such as 0.05, not {alpha!r}"
        )
    return float(alpha)


def checked_thresholds(thresholds: Any, methods: Iterable[str]) -> dict[str, float]:
    """Finite numbers over 0 by the names of methods.

    Raises:
        DriftError: If they are none: an effect that is compared with NaN never matters,
            and all of them reach 0.
        UnknownPluginError: If there is no such method.
    """
    if thresholds is None:
        return {}
    known = list(methods)
    if not isinstance(thresholds, Mapping):
        raise DriftError(
            "thresholds are numbers by method, such as {'ks': 0.1}, not "
            f"{thresholds!r}; methods are: {some_of(known)}"
        )
    for name, value in thresholds.items():
        if name not in known:
            raise UnknownPluginError("drift method", str(name), known)
        if not _is_number(value) or not math.isfinite(value) or value <= 0:
            raise DriftError(
                f"the threshold of {name} is a finite number over 0, such as 0.1, not "
                f"{value!r}"
            )
    return {name: float(value) for name, value in thresholds.items()}


def judged_names(
    before: DriftProfile,
    after: DriftProfile,
    columns: Sequence[Any] | None,
    ignore: Iterable[Any],
) -> list[str]:
    """Names of the columns to compare.

    Args:
        before: The reference.
        after: The window.
        columns: Only these; ``None`` for all that either has.
        ignore: Pass these over.

    Raises:
        DriftError: If one of ``columns`` is not there, or none is left to judge.
    """
    present = list(dict.fromkeys([*before.columns, *after.columns]))
    chosen = present
    if columns is not None:
        chosen = list(dict.fromkeys(_names(columns, "columns")))
        absent = [name for name in chosen if name not in present]
        if absent:
            raise DriftError(
                f"neither side has a column {some_of(absent)}; there are: "
                f"{some_of(present)}"
            )
        if not chosen:
            raise DriftError(
                "columns= names no column; leave it out to judge all: "
                f"{some_of(present)}"
            )
    passed = {*_names(ignore, "ignore"), before.window_column, after.window_column}
    left = [name for name in chosen if name not in passed]
    if chosen and not left:
        raise DriftError(
            f"ignore= passes over every column, {some_of(chosen)}; leave one to judge"
        )
    return left


def ignored_findings(
    before: DriftProfile, after: DriftProfile, ignore: Iterable[Any]
) -> list[Finding]:
    """A note on each name that is passed over and that neither side has."""
    clocks = (before.window_column, after.window_column)
    there = {*before.columns, *after.columns, *clocks}
    return [
        Finding(
            column=name,
            kind="ignored_absent",
            severity="note",
            sentence=f"{name}: is to be passed over, and neither side has such a "
            f"column; there are: {some_of(list(before.columns))}.",
        )
        for name in dict.fromkeys(_names(ignore, "ignore"))
        if name not in there
    ]


def _names(given: Any, argument: str) -> list[str]:
    """Column names are texts, as those of the data become when they are read."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise DriftError(
            f"{argument}= is a list of column names, such as ['age'], not {given!r}"
        )
    return [str(name) for name in given]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
