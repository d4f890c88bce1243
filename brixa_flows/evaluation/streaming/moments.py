"""Means and covariances of rows that are not kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments"]

Floats = NDArray[np.float64]


class Moments:
    """Mean and covariance of rows of numbers, batch after batch.

    Batches are merged as Chan, Golub and LeVeque (1983) do, without the cancellation
    that sums of squares suffer from.

    Attributes:
        rows: How many were added.
        means: Of shape (n_moments,).
    """

    def __init__(self, width: int) -> None:
        self.rows = 0
        self.means: Floats = np.zeros(width)
        self._products: Floats = np.zeros((width, width))

    def add(self, batch: Floats) -> None:
        """Add rows of shape (n_samples, n_moments)."""
        count = len(batch)
        if count == 0:
            return
        means = batch.mean(axis=0)
        centred = batch - means
        apart = means - self.means
        total = self.rows + count
        self._products += centred.T @ centred
        self._products += np.outer(apart, apart) * (self.rows * count / total)
        self.means = self.means + apart * (count / total)
        self.rows = total

    @property
    def error(self) -> Floats:
        """Covariance of the means, of shape (n_moments, n_moments)."""
        if self.rows < 2:
            return np.zeros_like(self._products)
        covariance: Floats = self._products / (self.rows - 1) / self.rows
        return covariance
