"""Any dataset through any registered model, batch by batch."""

from brixa_flows.prediction.datasets import Batch, LabelledBatches, as_batches
from brixa_flows.prediction.predictor import ModelPredictor
from brixa_flows.prediction.scoring import ScoringReport, score

__all__ = [
    "Batch",
    "LabelledBatches",
    "ModelPredictor",
    "ScoringReport",
    "as_batches",
    "score",
]
