"""What a multivariate method is: ``brixa_flows.multivariate_drift_methods``."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from brixa_flows.drift.base import Measurement
from brixa_flows.drift.radix import Floats

__all__ = ["MultivariateMethod"]


class MultivariateMethod(Protocol):
    """One way to tell two samples of rows apart. Pure but for ``rng``.

    Attributes:
        name: The effect's name in reports, also the plug-in's name.
        threshold: The smallest effect that matters.
    """

    name: str
    threshold: float

    def measure(
        self, reference: Floats, current: Floats, rng: np.random.Generator
    ) -> Measurement:
        """Compare two samples.

        Args:
            reference: Finite, of shape (n_rows, n_features).
            current: Finite, of shape (m_rows, n_features).
            rng: The only source of chance.

        Returns:
            An effect that is about 0 for one population, and its p-value.
        """
        ...
