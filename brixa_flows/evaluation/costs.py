"""What a model costs: milliseconds a row, by the batches it was asked, and its size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.evaluation.intervals import mean_draws
from brixa_flows.evaluation.outcomes import Costs, Judged

__all__ = ["cost_draws", "cost_of"]

Floats = NDArray[np.float64]


def cost_of(name: str, outcomes: Judged) -> float:
    """``latency_per_row_ms`` or ``model_size_mb`` of a run."""
    costs = _costs(outcomes)
    if name == "model_size_mb":
        return (costs.size_bytes or 0) / 1e6
    return float(1000 * costs.seconds.sum() / costs.rows.sum())


def cost_draws(
    name: str, models: Sequence[Judged], generator: np.random.Generator
) -> Floats:
    """Draws of a cost: batches are resampled, the same ones for every model.

    A size is known, so its draws are all the same, and so are those of one batch.

    Returns:
        Array of shape (n_draws, n_models).
    """
    costs = [_costs(each) for each in models]
    columns: list[Any] = [each.seconds for each in costs]
    means = mean_draws(np.stack([costs[0].rows, *columns], axis=1), generator)
    if name == "model_size_mb":
        sizes = [cost_of(name, each) for each in models]
        return np.tile(sizes, (len(means), 1))
    drawn: Floats = 1000 * np.clip(means[:, 1:], 0, None) / means[:, :1]
    return drawn


def _costs(outcomes: Judged) -> Costs:
    assert outcomes.costs is not None  # metrics_for refused the metric otherwise
    return outcomes.costs
