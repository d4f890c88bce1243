"""What a drift method is: the extension point ``brixa_flows.drift_methods``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from brixa_flows.drift.column import ColumnKind, ColumnProfile

__all__ = ["DriftMethod", "Measurement"]


@dataclass(frozen=True)
class Measurement:
    """What a method found between two profiles of a column.

    Attributes:
        effect: How large the difference is, at least 0, in the method's own unit;
            ``None`` where the unit does not exist (a scale of 0, say).
        p_value: How often two samples of one population differ so much; ``None`` if
            the method is no test.
        detail: In which value the difference shows, for the sentence.
    """

    effect: float | None
    p_value: float | None = None
    detail: str = ""


class DriftMethod(Protocol):
    """One way to measure how a column changed. Pure, thread-safe, deterministic.

    The detector calls :meth:`measure` for every column whose kind is listed. All
    methods with one ``check`` answer one question (did the values change? the missing
    share?): the question is answered yes if its p-value, adjusted over all columns and
    questions, is below alpha and the effect of at least one of its methods reaches its
    threshold. A method without a threshold is reported and decides nothing.

    Attributes:
        name: The effect's name in reports, also the plug-in's name.
        check: ``values``, ``missing``, ``infinite`` or ``new_categories``, or a
            question of one's own.
        kinds: Kinds of column that it can measure.
        threshold: The smallest effect that matters; ``None`` to report only.
    """

    name: str
    check: str
    kinds: Sequence[ColumnKind]
    threshold: float | None

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        """Compare; both profiles have the same kind and centre.

        Returns:
            ``None`` if there is nothing to compare, such as a column with no values.
        """
        ...
