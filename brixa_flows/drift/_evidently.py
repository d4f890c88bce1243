"""Adapter: columns judged by the drift preset of Evidently 0.7.

Its verdicts are its own: chi-square takes the reference for the population, several
columns are not adjusted for, missing values are dropped first.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

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
