"""Whether rows changed as wholes, where each column alone looks the same.

::

    base.py        MultivariateMethod, the extension point
    matrix.py      a sample of rows as numbers: scaled, one-hot, embeddings as they are
    distances.py   energy distance and maximum mean discrepancy
    detector.py    MultivariateDetector

``_learned`` is the adapter to scikit-learn (domain classifier, PCA), ``_sampling`` that
to pyarrow.
"""

from brixa_flows.drift.multivariate.base import MultivariateMethod
from brixa_flows.drift.multivariate.detector import (
    MultivariateDetector,
    MultivariateReport,
)

__all__ = ["MultivariateDetector", "MultivariateMethod", "MultivariateReport"]
