"""Models of tables, in every format of scikit-learn, of plug-ins and of the fallback."""

from __future__ import annotations

import numpy as np
import pandas as pd
from golden_table import Rule
from model_case import ModelCase, class_of_main
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FRAME = pd.DataFrame(
    np.random.default_rng(0).normal(size=(20, 2)), columns=["width", "age"]
)
LABELS = np.where(FRAME["width"] > 0, "late", "early")
ROWS = FRAME.head(6)


RULE_OF_MAIN = """
class Notebook:
    def __init__(self):
        self.weights = np.array([1.5, -1.0])
    def predict(self, inputs):
        return np.asarray(inputs) @ self.weights
"""


def make_pipeline_of_two():
    """Scaled, then a line."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, LABELS)


def make_forest():
    """Three small trees."""
    forest = RandomForestClassifier(3, max_depth=2, random_state=0)
    return forest.fit(FRAME, LABELS)


def make_rule_of_main():
    """A model whose class no other process can import."""
    return class_of_main(RULE_OF_MAIN, "Notebook", np=np)()


CASES = [
    ModelCase("sklearn", "joblib", make_pipeline_of_two, ROWS),
    ModelCase("sklearn", "joblib", make_forest, ROWS, variant="forest"),
    ModelCase(
        "sklearn",
        "cloudpickle",
        make_pipeline_of_two,
        ROWS,
        {"format": "cloudpickle"},
    ),
    ModelCase("skops", "skops", make_pipeline_of_two, ROWS, {"format": "skops"}),
    ModelCase("skops", "skops", make_forest, ROWS, {"format": "skops"}, "forest"),
    ModelCase("pickle", "pickle", Rule, ROWS),
    ModelCase("pickle", "cloudpickle", make_rule_of_main, ROWS, variant="main"),
]
