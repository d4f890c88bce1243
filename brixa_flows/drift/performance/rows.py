"""Rows that can be judged, and what is said of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brixa_flows.drift.radix import Floats, Integers
from brixa_flows.drift.report import Finding

__all__ = ["LabelledRows", "left_out"]

# More rows that can't be judged than this are an alarm: the rest is no fair sample.
_MANY = 0.05


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """What a performance model looks at.

    Attributes:
        scores: Of shape (n_rows, n_scores).
        called: Class numbers, -1 for an unknown one; or predictions. Of shape (n_rows,).
        truth: The same of the labels, if they are known.
        codes: Of the features, of shape (n_rows, n_features), if there are any.
        findings: On rows that are not among them.
    """

    scores: Floats
    called: npt.NDArray[Any]
    truth: npt.NDArray[Any]
    codes: Integers | None = None
    findings: tuple[Finding, ...] = ()

    def __len__(self) -> int:
        return len(self.called)

    def take(self, places: Integers | slice) -> LabelledRows:
        """Some of the rows."""
        codes = None if self.codes is None else self.codes[places]
        return LabelledRows(
            self.scores[places], self.called[places], self.truth[places], codes
        )


def left_out(rows: npt.NDArray[np.bool_], kind: str, what: str) -> list[Finding]:
    """A finding on the rows that are, an alarm if they are many."""
    count = int(rows.sum())
    if not count:
        return []
    share = count / len(rows)
    return [
        Finding(
            column=None,
            kind=kind,
            severity="alarm" if share > _MANY else "note",
            sentence=f"{count:,} of {len(rows):,} rows ({share:.1%}) {what}.",
        )
    ]
