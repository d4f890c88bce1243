"""Any dataset through any registered model, batch by batch."""

from brixa_flows.prediction.datasets import Batch, LabelledBatches, as_batches
from brixa_flows.prediction.performance import (
    WindowPerformance,
    judge_performance,
    learn_performance,
)
from brixa_flows.prediction.predictor import ModelPredictor
from brixa_flows.prediction.scored import SeenWindow, see_window
from brixa_flows.prediction.scoring import ScoringReport, score

__all__ = [
    "Batch",
    "LabelledBatches",
    "ModelPredictor",
    "ScoringReport",
    "SeenWindow",
    "WindowPerformance",
    "as_batches",
    "judge_performance",
    "learn_performance",
    "score",
    "see_window",
]
