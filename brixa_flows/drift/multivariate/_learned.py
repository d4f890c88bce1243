"""Adapter to scikit-learn: can rows be told apart, are they as well compressed."""

from __future__ import annotations

import numpy as np
from scipy.special import kolmogorov, ndtr
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from brixa_flows.drift.base import Measurement
from brixa_flows.drift.radix import Floats

__all__ = ["DomainClassifier", "PcaReconstruction"]

_EXPLAINED = 0.65


class DomainClassifier:
    """How far above .5 the AUC is with which a model tells old rows from new ones.

    A gradient boosting model learns from one half of the rows and is judged on the
    other, by Mann and Whitney's test (Rabanser and others, 2019).
    """

    name = "domain_classifier"
    threshold = 0.05

    def measure(
        self, reference: Floats, current: Floats, rng: np.random.Generator
    ) -> Measurement:
        rows = np.vstack([reference, current])
        new = np.repeat([False, True], [len(reference), len(current)])
        learned = _halves(len(reference), rng), _halves(len(current), rng)
        training = np.concatenate(learned)
        model = HistGradientBoostingClassifier(
            max_iter=40, max_leaf_nodes=15, class_weight="balanced", random_state=0
        ).fit(rows[training], new[training])
        scores = model.predict_proba(rows[~training])[:, 1]
        auc = float(roc_auc_score(new[~training], scores))
        return Measurement(max(auc - 0.5, 0.0), _auc_p_value(auc, new[~training]))


class PcaReconstruction:
    """How differently rows are compressed by the reference's main directions.

    Directions that explain 65 % of one half of the reference; the distances of the other
    half and of the current rows from them are compared by Kolmogorov and Smirnov.
    """

    name = "pca_reconstruction"
    threshold = 0.1

    def measure(
        self, reference: Floats, current: Floats, rng: np.random.Generator
    ) -> Measurement:
        half = _halves(len(reference), rng)
        model = PCA(n_components=_EXPLAINED, svd_solver="full").fit(reference[half])
        errors = [_errors(model, rows) for rows in (reference[~half], current)]
        places = np.sort(np.concatenate(errors))
        below = [
            np.searchsorted(np.sort(each), places, side="right") / len(each)
            for each in errors
        ]
        distance = float(np.max(np.abs(below[0] - below[1])))
        sizes = [len(each) for each in errors]
        root = np.sqrt(sizes[0] * sizes[1] / sum(sizes))
        p_value = float(kolmogorov((root + 0.12 + 0.11 / root) * distance))
        return Measurement(distance, p_value)


def _errors(model: PCA, rows: Floats) -> Floats:
    restored = model.inverse_transform(model.transform(rows))
    errors: Floats = np.sqrt(np.sum((rows - restored) ** 2, axis=1))
    return errors


def _halves(rows: int, rng: np.random.Generator) -> np.ndarray:
    chosen: np.ndarray = rng.permutation(rows) < rows // 2
    return chosen


def _auc_p_value(auc: float, new: np.ndarray) -> float:
    """One-sided: a model that is worse than chance has learned nothing."""
    ones, zeros = int(new.sum()), int((~new).sum())
    error = np.sqrt((ones + zeros + 1) / (12 * ones * zeros))
    return float(ndtr(-(auc - 0.5) / error))
