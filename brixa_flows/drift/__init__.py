"""Whether data changed or a model got worse, said so that it can be trusted.

::

    column.py      what is kept of a column: counts and sums that add up
    radix.py       histograms at any scale
    profile.py     DriftProfile: all columns of a data set, one Parquet file
    spread.py      how much the reference's own windows differ
    base.py        DriftMethod, the extension point; methods/ are ours
    judging.py     sure, large and unusual: from measurements to verdicts
    findings.py    columns gone, new, retyped
    flow.py        how many rows come, and how new they are
    detector.py    DriftDetector, which puts it together
    engine.py      other engines, on samples of rows; _evidently.py is one
    report.py      DriftReport and its parts; markdown.py, html_page.py show it
    advice.py      what to make of it: cost, since when, what to do
    history.py     columns over the windows that were judged; history_page.py
    seasons.py     SeasonalReference: the same month or weekday
    evaluated.py   the same of rows that a version is judged on, for gates
    kept.py        KeptProfiles: profiles of past windows, which add up
    policy.py      DriftPolicy: when a window that drifted is an alarm
    multivariate/  MultivariateDetector: rows as wholes, embeddings
    performance/   PerformanceEstimator: how good the model is, labels or not

``_arrow_reading``, ``_arrow_columns``, ``_building``, ``_parquet`` and ``_plots`` are
the adapters to pyarrow and matplotlib.
"""

from brixa_flows.drift.advice import advised
from brixa_flows.drift.base import DriftMethod, Measurement
from brixa_flows.drift.detector import DriftDetector
from brixa_flows.drift.evaluated import drift_facts
from brixa_flows.drift.flow import Freshness
from brixa_flows.drift.history import ColumnHistory, column_histories
from brixa_flows.drift.kept import KeptProfiles
from brixa_flows.drift.multivariate import MultivariateDetector, MultivariateReport
from brixa_flows.drift.performance import PerformanceEstimator, PerformanceReport
from brixa_flows.drift.policy import DriftPolicy, DriftVerdict, JudgedWindow
from brixa_flows.drift.profile import DriftProfile
from brixa_flows.drift.report import Advice, ColumnDrift, DriftReport, Finding
from brixa_flows.drift.seasons import SeasonalReference
from brixa_flows.drift.spread import ReferenceSpread
from brixa_flows.drift.workspace import write_workspace

__all__ = [
    "Advice",
    "ColumnDrift",
    "ColumnHistory",
    "DriftDetector",
    "DriftMethod",
    "DriftPolicy",
    "DriftProfile",
    "DriftReport",
    "DriftVerdict",
    "Finding",
    "Freshness",
    "JudgedWindow",
    "KeptProfiles",
    "Measurement",
    "MultivariateDetector",
    "MultivariateReport",
    "PerformanceEstimator",
    "PerformanceReport",
    "ReferenceSpread",
    "SeasonalReference",
    "advised",
    "column_histories",
    "drift_facts",
    "write_workspace",
]
