"""How good a model is in production: realised when labels come, estimated before.

::

    columns.py       scores, labels and features of any data as arrays
    encoding.py      features in bins and categories, for linear models of them
    calibration.py   what a score means: isotonic, and given the features
    expected.py      metrics and their bands from probabilities instead of labels
    losses.py        direct loss estimation for regression
    estimator.py     PerformanceEstimator, which puts it together
    usual.py         what the chunks of the reference tell of limits and errors
    results.py       PerformanceReport
    late.py          LateLabels: labels that come later, by row id
    stream.py        ErrorStream: ADWIN and Page-Hinkley on errors one by one

``_fitting`` is the adapter to scikit-learn, ``_arrow`` and ``_waiting`` those to pyarrow,
``_river`` that to river. An estimate is made of scores and features
alone: a change of what they mean (concept drift) is in neither, so it sees none.
"""

from brixa_flows.drift.performance.estimator import PerformanceEstimator
from brixa_flows.drift.performance.late import ClosedWindow, LateLabels
from brixa_flows.drift.performance.results import MetricEstimate, PerformanceReport
from brixa_flows.drift.performance.stream import ErrorChange, ErrorStream

__all__ = [
    "ClosedWindow",
    "ErrorChange",
    "ErrorStream",
    "LateLabels",
    "MetricEstimate",
    "PerformanceEstimator",
    "PerformanceReport",
]
