"""A classifier whose labels follow from its probabilities is asked once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from brixa_flows.serializers.label_rules import follows
from brixa_flows.serializers.sklearn import SklearnSerializer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3)).round(1)
LATER = RNG.normal(size=(2_000, 3)).round(1)
LABELS = {
    2: np.where(X[:, 0] + RNG.normal(size=300) > 0, "yes", "no"),
    3: np.array(["a", "b", "c"])[(X[:, :3] + RNG.normal(size=(300, 3))).argmax(1)],
}
KNOWN = [
    CalibratedClassifierCV(LogisticRegression(), cv=2),
    BaggingClassifier(n_estimators=4, random_state=0),
    ExtraTreesClassifier(4, random_state=0),
    RandomForestClassifier(4, random_state=0),  # of few trees, with equal classes
    DecisionTreeClassifier(max_leaf_nodes=5),
    ExtraTreeClassifier(max_leaf_nodes=5),
    GradientBoostingClassifier(n_estimators=4),
    HistGradientBoostingClassifier(max_iter=4),
    LogisticRegression(),
    LogisticRegressionCV(Cs=2, cv=2, use_legacy_attributes=True),
    GaussianNB(),
    make_pipeline(StandardScaler(), LogisticRegression()),
]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("model", KNOWN, ids=lambda model: type(model).__name__)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_labels_are_those_of_predict_and_it_is_not_called(
    model: Any, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.fit(X, LABELS[classes])
    expected = model.predict(LATER)
    assert follows(model)

    def refuse(*_: Any) -> None:
        raise AssertionError("asked twice")

    monkeypatch.setattr(type(model), "predict", refuse)
    answer = SklearnSerializer().predict(model, LATER)
    np.testing.assert_array_equal(answer.values, expected)
    assert answer.values.dtype == expected.dtype
    assert answer.classes == tuple(model.classes_)


def test_nearly_equal_classes_of_a_raw_score_are_left_to_predict() -> None:
    model = LogisticRegression().fit(X, LABELS[2])
    model.coef_[:], model.intercept_[:] = 0.0, 1e-17  # a half, after rounding
    assert (model.predict_proba(LATER) == 0.5).all()
    answer = SklearnSerializer().predict(model, LATER)
    np.testing.assert_array_equal(answer.values, np.full(2_000, "yes"))


def test_a_predict_of_ones_own_is_asked() -> None:
    class Careful(LogisticRegression):
        def predict(self, X: Any) -> Any:
            return np.where(self.predict_proba(X)[:, 1] > 0.9, "yes", "no")

    model = Careful().fit(X, LABELS[2])
    answer = SklearnSerializer().predict(model, LATER)
    np.testing.assert_array_equal(answer.values, model.predict(LATER))
    assert not follows(model)
    patched = LogisticRegression().fit(X, LABELS[2])
    patched.predict = model.predict
    assert not follows(patched)
    assert not follows(KNeighborsClassifier())  # its votes are not its probabilities
