"""What a number is of; numbers of one metric compare only where all of it is equal."""

from __future__ import annotations

from typing import Any, NamedTuple

from brixa_flows.evaluation.outcomes import Task

__all__ = ["Conditions"]


class Conditions(NamedTuple):
    """Under which a version was judged.

    Attributes:
        digest: Of the rows.
        target: Name of the label column.
        task: As which it was judged; ``None`` if an old record does not say.
        positive: The positive class of a binary task.
        threshold: Probability from which on a row was called positive; ``None`` for
            the model's own labels.
    """

    digest: str
    target: str
    task: Task | None = None
    positive: Any = None
    threshold: float | None = None

    def __str__(self) -> str:
        """The task, and what its labels depend on, for people."""
        if self.task != "binary":
            return self.task or "task not recorded"
        threshold = "the model's own" if self.threshold is None else self.threshold
        return f"binary, positive class {self.positive!r}, threshold {threshold}"

    def are_of_the_rows_of(self, other: Conditions) -> bool:
        """Whether both are of the same labels of the same rows."""
        return self[:2] == other[:2]

    def unlike(self, other: Conditions) -> str:
        """In what they differ from others, for people; empty if in nothing."""
        if self.digest != other.digest:
            return f"on the rows {self.digest[:8]}, not {other.digest[:8]}"
        if self.target != other.target:
            return f"by the label {self.target!r}, not {other.target!r}"
        if None in (self.task, other.task) or self == other:
            return ""
        return f"as {self}, not {other}"
