"""How labels and answers of the same rows are read: decided once, done batch by batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.checking import one_label_a_row, refuse_nan
from brixa_flows.evaluation.coding import distinct, encode, plain, scored_classes
from brixa_flows.evaluation.multilabel import are_one_hot
from brixa_flows.evaluation.outcomes import Outcomes, Task
from brixa_flows.evaluation.ranking import log_odds
from brixa_flows.evaluation.telling import (
    are_one_score,
    are_whole,
    are_within,
    column_of,
    infer_task,
    outside_of_shares,
    say_classes,
    say_numbers,
    strays_among_flags,
)
from brixa_flows.serializers.base import Prediction

__all__ = ["Reading"]

_Scores = NDArray[np.float64] | None
_OFF_BY = 3e-2  # that probabilities of 16 bits, or rounded ones, may be off 1 together


@dataclass(frozen=True)
class Reading:
    """How rows are read; all batches of one dataset are read alike.

    Attributes:
        regression: Whether both are numbers; else they are classes.
        form: What the model gives: ``labels``, ``scores`` of each class, or one
            ``score`` of class 1.
        link: What makes probabilities of scores.
        classes: Those that the model knows, in the order of its scores.
        named: Whether the model said so; else they are those that occurred.
        one_hot: Whether labels are columns of which one is 1.
        counted: Whether labels are numbers of the model's named classes.
        spelled: Whether labels are numbers and the classes texts of numbers.
        guessed: Whether only the values tell classes from numbers.
        strays: Labels of a regression that are not 0 or 1, where nearly all are.
        unsure: Why scores that go through a link may be probabilities after all.
    """

    regression: bool = False
    form: Literal["labels", "scores", "score"] = "labels"
    link: Literal["identity", "softmax", "sigmoid"] = "identity"
    classes: tuple[Any, ...] = ()
    named: bool = False
    one_hot: bool = False
    counted: bool = False
    spelled: bool = False
    guessed: bool = False
    unsure: str = ""
    strays: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        labels: NDArray[Any],
        prediction: Prediction,
        task: Task | None = None,
        model_type: str = "",
        positive: Any = None,
    ) -> Reading:
        """Decide from rows that :func:`checking.checked` let through.

        Raises:
            EvaluationError: If labels and answers don't fit.
        """
        one_hot = are_one_hot(labels, prediction, task)
        truth = one_label_a_row(labels.argmax(axis=1) if one_hot else labels)
        kind = task or infer_task(truth, prediction, model_type)
        words = model_type.lower()
        open_question = truth.dtype.kind in "fiu" and task is None
        guessed = open_question and not (say_classes(words) or say_numbers(words))
        if kind == "regression":
            strays = strays_among_flags(truth) if open_question else ()
            return cls(True, guessed=guessed and are_whole(truth), strays=strays)
        values, scores = column_of(prediction.values), prediction.scores
        scores = values if scores is None and values.ndim == 2 else scores
        if scores is not None:
            return cls(
                form="scores",
                link="identity" if _are_probabilities(scores) else "softmax",
                classes=plain(prediction.classes or range(scores.shape[1])),
                named=True,
                one_hot=one_hot,
                counted=_are_counted(truth, prediction.classes or ()),
                spelled=_are_spelled(truth, prediction.classes or ()),
                unsure=_why_shares(scores),
            )
        if values.ndim != 1:
            raise EvaluationError(
                f"the predictions have shape {values.shape}; a classification needs "
                "(n_samples,) labels or (n_samples, n_classes) scores"
            )
        two = task == "binary" or positive is not None
        if are_one_score(truth, values, two and not prediction.classes):
            return cls(
                form="score",
                link="identity" if are_within(values) else "sigmoid",
                classes=scored_classes(truth, positive),
                named=True,
                one_hot=one_hot,
                unsure=outside_of_shares(values),
            )
        classes = plain(prediction.classes or _classes_seen(truth, values))
        return cls(
            classes=classes,
            named=bool(prediction.classes),
            one_hot=one_hot,
            counted=_are_counted(truth, classes),
            spelled=_are_spelled(truth, classes),
            guessed=guessed,
        )

    @property
    def told(self) -> tuple[str, ...]:
        """What a reader of the numbers must know of it."""
        told = []
        if self.guessed and self.regression:
            told.append(
                "the labels are whole numbers, and were taken for numbers (regression); "
                "if they are classes, say task='multiclass'"
            )
        elif self.guessed and not self.named and not set(self.classes) <= {0, 1}:
            told.append(
                "the labels are whole numbers of few values, and were taken for classes; "
                "if they are numbers, say task='regression'; if the answers are scores "
                "of two labels, say task='binary'"
            )
        if self.strays:
            told.append(
                "the labels are 0 and 1 but for a few "
                f"({some_of(map(repr, self.strays))}), so they were taken for numbers "
                "(regression); if they are classes, mend these or drop their rows"
            )
        if self.one_hot:
            told.append(
                "labels are one-hot; the class of a row is its column with the 1"
            )
        if self.counted:
            shown = some_of(
                f"{at} is {label!r}" for at, label in enumerate(self.classes)
            )
            told.append(f"the labels are numbers of the model's classes: {shown}")
        if self.spelled:
            told.append(
                "the labels are numbers, and the model's classes are their texts"
            )
        if self.link == "softmax" and self.unsure:
            told.append(
                f"the scores of the classes {self.unsure}; their softmax was taken for "
                "probabilities"
            )
        if self.link == "sigmoid":
            told.append(
                f"{self.unsure} not between 0 and 1, so all were taken for decision "
                f"scores: a row is called {self.classes[1]!r} from 0 on unless a "
                "threshold is given, and their sigmoid stands for its probability"
            )
        return tuple(told)

    def read(self, labels: NDArray[Any], prediction: Prediction) -> Outcomes:
        """Rows in one coding: the task is ``regression`` or still ``multiclass``.

        Raises:
            EvaluationError: If these rows can't be read so.
        """
        if self.one_hot and not are_one_hot(labels, prediction, "multiclass"):
            raise EvaluationError("the labels are not one-hot, as the first ones are")
        truth = one_label_a_row(labels.argmax(axis=1) if self.one_hot else labels)
        if self.regression:
            return _regression(truth, prediction)
        if self.counted:
            truth = self._named_labels(truth)
        if self.spelled and truth.dtype.kind in "iu":
            truth = np.array([str(label) for label in truth], dtype=object)
        predicted, probabilities, margins = self._answers(truth, prediction)
        given = np.asarray(
            prediction.values if prediction.scores is None else prediction.scores
        )
        codes, extended = encode(truth, self.classes)
        answers, extended = encode(predicted, extended)
        return Outcomes(
            "multiclass",
            codes,
            answers,
            probabilities,
            extended,
            known=len(self.classes),
            scores_type=self._type_of(given),
            margins=margins,
            one_score=self.link == "sigmoid" or _is_column(prediction.margins),
        )

    def _type_of(
        self, scores: NDArray[Any]
    ) -> Literal["float16", "float32", "float64"]:
        if self.link != "identity" or scores.dtype not in (np.float16, np.float32):
            return "float64"
        return "float16" if scores.dtype == np.float16 else "float32"

    def _named_labels(self, truth: NDArray[Any]) -> NDArray[Any]:
        if not _are_counted(truth, self.classes):
            raise EvaluationError(
                f"the labels {some_of(map(repr, distinct(truth)))} are not all "
                f"numbers of the model's {len(self.classes)} classes, as the first are"
            )
        names: NDArray[Any] = np.asarray(self.classes, dtype=object)[truth]
        return names

    def _answers(
        self, truth: NDArray[Any], prediction: Prediction
    ) -> tuple[NDArray[Any], _Scores, _Scores]:
        """Labels, probabilities, and what ranks the rows if those do not."""
        values = column_of(prediction.values)
        if self.form == "labels":
            return values, None, _margins_of_classes(prediction.margins)
        if self.form == "score":
            return self._of_one_score(truth, values)
        scores = values if prediction.scores is None else np.asarray(prediction.scores)
        if values.ndim == 2:
            best = values.argmax(axis=1)
            values = np.asarray(self.classes, dtype=object)[best]
        if self.link == "softmax":
            rows = scores.astype(np.float64)
            return values, softmax(rows, axis=1), log_odds(rows)
        if not _are_probabilities(scores):
            raise EvaluationError(
                "scores of the classes are no probabilities, as the first ones are; "
                "raise exact_rows so that all rows decide"
            )
        # Not divided by the sums, which would put rows in another order.
        return values, scores.astype(np.float64).clip(0, 1), None

    def _of_one_score(
        self, truth: NDArray[Any], values: NDArray[Any]
    ) -> tuple[NDArray[Any], _Scores, _Scores]:
        others = [label for label in distinct(truth) if label not in self.classes]
        if others:
            raise EvaluationError(
                f"the model gives one score a row for the labels "
                f"{some_of(map(repr, self.classes))}, but here is {some_of(map(repr, others))}"
            )
        labels = np.asarray(self.classes)
        score = values.astype(np.float64)
        if self.link == "sigmoid":
            margins = np.stack([-score, score], axis=1)
            return labels[(score >= 0).astype(np.int64)], expit(margins), margins
        if not are_within(values):
            raise EvaluationError(
                "scores are not all between 0 and 1, as the first ones are; raise "
                "exact_rows so that all rows decide"
            )
        score = score.clip(0, 1)
        shares = np.stack([1 - score, score], axis=1)
        return labels[(score >= 0.5).astype(np.int64)], shares, None


def _is_column(margins: NDArray[Any] | None) -> bool:
    return margins is not None and margins.ndim == 1


def _margins_of_classes(margins: NDArray[Any] | None) -> _Scores:
    """Decision scores, one for each class also where one tells two."""
    if margins is None or margins.ndim == 2:
        return None if margins is None else margins.astype(np.float64)
    score = margins.astype(np.float64)
    return np.stack([-score, score], axis=1)


def _are_probabilities(scores: NDArray[Any]) -> bool:
    rows = np.asarray(scores).astype(np.float64)
    sums = rows.sum(axis=1)
    return are_within(scores) and bool((np.abs(sums - 1) <= _OFF_BY).all())


def _why_shares(scores: NDArray[Any]) -> str:
    """Why scores that are no probabilities may be meant as such; empty of logits.

    Logits are negative somewhere, and hardly ever sum to 1.
    """
    if _are_probabilities(scores):
        return ""
    if are_within(np.minimum(scores, 1)):
        return "are 0 or more but do not sum to 1 in each row"
    like = np.abs(scores.astype(np.float64).sum(axis=1) - 1) <= _OFF_BY
    if 2 * like.sum() > like.size:
        return (
            f"sum to 1 in {like.sum():,} of {like.size:,} rows, but "
            f"{outside_of_shares(scores)} not between 0 and 1"
        )
    return ""


def _are_counted(truth: NDArray[Any], classes: Iterable[Any]) -> bool:
    """Whether labels are numbers of named classes.

    Where the names are numbers too ('1', '2'), a label never means a place among them.
    """
    names = plain(classes)
    named = bool(names) and all(isinstance(label, str) for label in names)
    if not named or truth.dtype.kind not in "iu" or _are_spelled(truth, names):
        return False
    return bool(truth.min() >= 0 and truth.max() < len(names))


def _are_spelled(truth: NDArray[Any], classes: Iterable[Any]) -> bool:
    """Whether labels are numbers and the classes texts of numbers, as a CSV file has it."""
    names = plain(classes)
    texts = bool(names) and all(isinstance(label, str) for label in names)
    return texts and truth.dtype.kind in "iu" and all(map(_is_number, names))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _regression(truth: NDArray[Any], prediction: Prediction) -> Outcomes:
    values = np.asarray(prediction.values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise EvaluationError(
            f"a regression needs one number a row, but the predictions have shape "
            f"{values.shape} and type {values.dtype}"
        )
    if truth.dtype.kind not in "fiub":
        raise EvaluationError(
            f"a regression needs numbers as labels, but they are of type {truth.dtype}"
            f" (such as {truth[0]!r})"
        )
    refuse_nan("labels", truth)
    return Outcomes("regression", truth.astype(np.float64), values.astype(np.float64))


def _classes_seen(truth: NDArray[Any], values: NDArray[Any]) -> tuple[Any, ...]:
    """Classes of a model that names none: all that occur."""
    answered, labelled = distinct(values), distinct(truth)
    answers, labels = set(answered), set(labelled)
    if not answers & labels and _are_texts(answers) != _are_texts(labels):
        raise EvaluationError(
            f"the model answers {some_of(map(repr, answered))} but the labels are "
            f"{some_of(map(repr, labelled))}; bring the labels to the model's form"
        )
    if answers | labels <= {0, 1}:
        return (0, 1)
    return distinct(truth, values)


def _are_texts(labels: set[Any]) -> bool:
    return any(isinstance(label, str) for label in labels)
