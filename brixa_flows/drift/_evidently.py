"""Adapter: columns judged by the drift preset of Evidently 0.7.

Its verdicts are its own: chi-square takes the reference for the population, several
columns are not adjusted for, missing values are dropped first.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.renderers.html_widgets import (
    CounterData,
    WidgetSize,
    counter,
)
from evidently.metrics import MeanValue
from evidently.presets import DataDriftPreset
from evidently.tests import eq
from evidently.ui.workspace import Workspace

from brixa_flows.drift.engine import EngineVerdict
from brixa_flows.errors import DriftError

__all__ = ["EvidentlyEngine"]

_FAILURES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class EvidentlyEngine:
    """Evidently's ``DataDriftPreset`` with an explicit definition of the columns."""

    def __init__(self) -> None:
        # Only its user interface sends anything; this is so that it never will.
        os.environ.setdefault("DO_NOT_TRACK", "1")

    def judge(
        self, reference: Mapping[str, Any], current: Mapping[str, Any]
    ) -> dict[str, EngineVerdict]:
        texts = [name for name, each in reference.items() if each.dtype == object]
        definition = DataDefinition(
            numerical_columns=[name for name in reference if name not in texts],
            categorical_columns=texts,
        )
        before, after = (
            Dataset.from_pandas(pd.DataFrame(side), data_definition=definition)
            for side in (dict(reference), dict(current))
        )
        random_state = np.random.get_state()  # its TVD reseeds the global generator
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                report = Report([DataDriftPreset()], include_tests=True)
                found = report.run(after, before).dict()
        except _FAILURES as err:
            raise DriftError(
                f"Evidently can't compare these columns: {err}; the engine 'profile' can"
            ) from err
        finally:
            np.random.set_state(random_state)
        failed = {
            test["metric_config"]["metric_id"]
            for test in found["tests"]
            if test["status"] == "FAIL"
        }
        return {
            metric["config"]["column"]: EngineVerdict(
                drifted=metric["id"] in failed,
                method=str(metric["config"]["method"]),
                value=float(metric["value"]),
                threshold=float(metric["config"]["threshold"]),
            )
            for metric in found["metrics"]
            if "column" in metric["config"]
        }

    def keep(
        self,
        told: Mapping[str, tuple[float, bool | None]],
        sentence: str,
        folder: Path,
        project: str,
        at: datetime | None,
    ) -> str:
        """Add numbers to a workspace, by metrics that every Evidently knows.

        Args:
            told: Values by name; one with a flag gets a test that it is 0.
            sentence: What is said of all of them.
            folder: Of the workspace.
            project: Name of the project.
            at: When it was; now if not given.

        Returns:
            The id of the run.

        Raises:
            DriftError: If the folder is no workspace.
        """
        values = {name: value for name, (value, _) in told.items() if isfinite(value)}
        metrics = [
            MeanValue(column=name, tests=None if told[name][1] is None else [eq(0)])
            for name in values
        ]
        definition = DataDefinition(numerical_columns=list(values))
        frame = pd.DataFrame({name: [value] for name, value in values.items()})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = Dataset.from_pandas(frame, data_definition=definition)
                run = Report(metrics).run(
                    data, None, timestamp=at, metadata={"sentence": sentence}
                )
                _show_numbers(run, values, sentence)
                workspace = Workspace.create(str(folder))
                known = [p for p in workspace.list_projects() if p.name == project]
                chosen = known[0] if known else workspace.create_project(project)
                return str(workspace.add_run(chosen.id, run).id)
        except (OSError, *_FAILURES) as err:
            raise DriftError(
                f"{folder} can't be written as a workspace of Evidently: {err}"
            ) from err


def _show_numbers(run: Any, values: Mapping[str, float], sentence: str) -> None:
    """In place of a histogram of each single number, the number under its name."""
    results = list(run.metric_results.values())
    for place, (result, (name, value)) in enumerate(
        zip(results, values.items(), strict=True)
    ):
        shown = counter(
            counters=[CounterData(name, f"{value:.4g}")],
            title="" if place else sentence,
            size=WidgetSize.HALF if place else WidgetSize.FULL,
        )
        # In place, as the run holds the same widget.
        for widget in result.get_widgets():
            widget.type, widget.title = shown.type, shown.title
            widget.params, widget.size = shown.params, shown.size
            widget.additionalGraphs = []
