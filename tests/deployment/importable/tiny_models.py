"""Models that load in no time, found by replicas through the caller's import path."""

from __future__ import annotations

import os
import time

import numpy as np


class Constant:
    """Answers one number for every row, after a while if asked to."""

    def __init__(self, value: float, seconds: float = 0.0) -> None:
        self.value = value
        self.seconds = seconds

    def predict(self, inputs):
        time.sleep(self.seconds)
        return np.full(len(inputs["a"]), self.value)


class FromEnvironment(Constant):
    """Answers what the environment variable ANSWER says."""

    def predict(self, inputs):
        return np.full(len(inputs["a"]), float(os.environ["ANSWER"]))


class Moody(Constant):
    """Raises for negative numbers."""

    def predict(self, inputs):
        if (inputs["a"] < 0).any():
            raise ValueError("not in the mood")
        return super().predict(inputs)


class Unloadable(Constant):
    """Can be saved, but not loaded."""

    def __setstate__(self, state):
        raise RuntimeError("the licence file is missing")


class Described(Constant):
    """Answers what it was given, with types, after its own number."""

    def predict(self, inputs):
        columns = inputs if isinstance(inputs, dict) else inputs.to_dict("list")
        rows = zip(*columns.values(), strict=True)
        return np.array([f"{self.value:g} {_shown(row)}" for row in rows], object)


def _shown(row):
    return " ".join(f"{getattr(v, 'dtype', type(v).__name__)}={v}" for v in row)
