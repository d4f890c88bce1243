"""Adapter: an evaluation as a report of Evidently 0.7.

Evidently reads rows, so it gets labels and answers; a large set as a fair sample, which
the page says. Its numbers have no intervals and some are rounded: ours decide.
"""

from __future__ import annotations

import os
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from evidently import (
    BinaryClassification,
    DataDefinition,
    Dataset,
    MulticlassClassification,
    Regression,
    Report,
)
from evidently.presets import ClassificationPreset, RegressionPreset

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.outcomes import Outcomes

__all__ = ["EvidentlyReport"]

_LABEL, _ANSWER = "label", "predicted"
_ASK_NOBODY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline'; "
    'img-src data: blob:; font-src data:; worker-src blob:">'
)
_FAILURES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class EvidentlyReport:
    """Evidently's presets of classification and regression."""

    def __init__(self) -> None:
        # Only its user interface sends anything; this is so that it never will.
        os.environ.setdefault("DO_NOT_TRACK", "1")

    def html(self, outcomes: Outcomes, heading: str) -> str:
        """One page that asks no server for anything.

        Args:
            outcomes: The rows to show.
            heading: What they are, in a sentence or two.

        Raises:
            EvaluationError: If Evidently can't show such rows.
        """
        if outcomes.task == "multilabel":
            raise EvaluationError("Evidently has no report of several labels a row")
        frame, definition = _described(outcomes)
        numbers = outcomes.task == "regression"
        preset: Any = RegressionPreset() if numbers else ClassificationPreset()
        data = Dataset.from_pandas(frame, data_definition=definition)
        try:
            page: str = Report([preset]).run(data, None).get_html_str(as_iframe=False)
        except _FAILURES as err:
            raise EvaluationError(
                f"Evidently can't report on these {outcomes.rows} rows: {err}"
            ) from err
        return _told(page, heading)


def _told(page: str, heading: str) -> str:
    """With the heading on top, and a rule that lets the browser ask nobody."""
    told = f'<p style="font:15px sans-serif;margin:16px">{escape(heading)}</p>'
    for tag, what in (("<head", _ASK_NOBODY), ("<body", told)):
        end = page.index(">", page.index(tag)) + 1
        page = page[:end] + what + page[end:]
    return page


def _described(outcomes: Outcomes) -> tuple[pd.DataFrame, DataDefinition]:
    if outcomes.task == "regression":
        frame = pd.DataFrame({_LABEL: outcomes.truth, _ANSWER: outcomes.predicted})
        return frame, DataDefinition(
            regression=[Regression(target=_LABEL, prediction=_ANSWER)],
            numerical_columns=[_LABEL, _ANSWER],
        )
    names = np.array([str(label) for label in outcomes.classes], dtype=object)
    # Columns are named like classes there, so ours must be no class.
    label, answer = (_free(name, names) for name in (_LABEL, _ANSWER))
    frame = pd.DataFrame(
        {label: names[outcomes.truth], answer: names[outcomes.predicted]}
    )
    shown = _probability_columns(outcomes)
    for code in shown:
        assert outcomes.probabilities is not None  # else none are shown
        frame[names[code]] = outcomes.probabilities[:, code]
    columns = [names[code] for code in shown]
    roles = {"target": label, "prediction_labels": answer}
    role: Any
    if outcomes.task == "binary":
        positive = names[outcomes.positive]
        role = BinaryClassification(
            **roles,
            pos_label=positive,
            prediction_probas=columns[0] if columns else None,
        )
    else:
        role = MulticlassClassification(**roles, prediction_probas=columns or None)
    return frame, DataDefinition(
        classification=[role],
        numerical_columns=columns,
        categorical_columns=[label, answer],
    )


def _free(name: str, taken: Any) -> str:
    while name in taken:
        name += "_"
    return name


def _probability_columns(outcomes: Outcomes) -> list[int]:
    """Codes whose probabilities it can use: it fails where a class has no rows."""
    if not outcomes.has_probabilities or outcomes.unseen:
        return []
    if len(outcomes.present) < len(outcomes.classes):
        return []
    binary = outcomes.task == "binary"
    return [outcomes.positive] if binary else list(range(outcomes.known))
