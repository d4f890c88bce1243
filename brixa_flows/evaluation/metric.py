"""One metric as data: what it needs, which way is better, how its interval is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from brixa_flows.evaluation.outcomes import Judged, Task

__all__ = ["CustomMetric", "Metric"]

_LABELS_AT_MOST = 500  # their covariance has the square of three times that
_PAIRED_CLASSES_AT_MOST = 20
_OF_LABELS_ORDER = ("label_ranking", "coverage_error")

CustomMetric: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], float]


@dataclass(frozen=True)
class Metric:
    """A metric as data.

    Attributes:
        name: Its name.
        tasks: Where it means something.
        needs: ``label`` (or number), ``probability`` of each class, or the ``run`` of
            the model (its seconds and its size).
        higher_is_better: Direction.
        method: How its interval is made: ``confusion`` matrix, ``mean`` of a term per
            row, ``auc`` (DeLong), ``ranking``, ``batches`` (of the run), or
            ``bootstrap`` of the rows.
        aliases: Other names it answers to.
        function: ``f(y_true, y_pred) -> float``; only of a custom metric. With
            ``needs="probability"`` it gets the labels and the probabilities of shape
            (n_samples, n_classes), their columns in the order of the sorted classes
            that the model knows.
        parameter: The number in its name: a quantile, a beta, how many best classes.
        values: Which numbers it is for: labels that are ``differing``, both labels
            and predictions ``non_negative`` or ``positive``, or ``counts``, which are
            predicted as positive numbers.
    """

    name: str
    tasks: tuple[Task, ...]
    needs: Literal["label", "probability", "run"] = "label"
    higher_is_better: bool = True
    method: Literal["confusion", "mean", "auc", "ranking", "batches", "bootstrap"] = (
        "bootstrap"
    )
    aliases: tuple[str, ...] = ()
    function: CustomMetric | None = None
    parameter: float | None = None
    values: Literal["any", "differing", "non_negative", "positive", "counts"] = "any"

    def suits(self, judged: Judged) -> bool:
        """Whether rows of this kind can give it; which rows they are is left open."""
        return judged.task in self.tasks and self.has_scores_of(judged)

    def has_scores_of(self, judged: Judged) -> bool:
        """Whether the model gives what it needs of each class."""
        if self.name == "hinge_loss":
            return judged.one_score
        if self.needs != "probability" or judged.has_probabilities:
            return True
        of_order = self.ranks or self.name.startswith(("top_", *_OF_LABELS_ORDER))
        return judged.has_ranking and of_order and self.function is None

    def sums_up(self, task: Task, known: int = 2) -> bool:
        """Whether counts and sums are enough for it, without all rows.

        Args:
            task: What the model does.
            known: How many classes it knows.
        """
        if self.needs == "run":
            return True
        if self.function is not None:
            return False
        if task == "multilabel":
            if self.method == "bootstrap":
                return False
            return known <= _LABELS_AT_MOST
        if self.name.startswith("roc_auc_ovo"):
            return known <= _PAIRED_CLASSES_AT_MOST
        named = self.name in (
            "d2_brier_score",
            "d2_log_loss_score",
            "expected_calibration_error",
            "max_error",
            "roc_auc_ovr_weighted",
        )
        return named or self.method in ("confusion", "mean", "auc", "ranking")

    @property
    def ranks(self) -> bool:
        """Whether it is of the order of probabilities."""
        return self.method in ("auc", "ranking") or self.name.startswith("roc_auc")

    @property
    def sign(self) -> int:
        """1 if more is better, else -1."""
        return 1 if self.higher_is_better else -1
