"""A layer whose class lives in __main__."""

import sys
from pathlib import Path

import keras
from conftest import save


class Tripled(keras.layers.Layer):
    """Three times its input."""

    def call(self, x):
        """Of the same shape."""
        return x * 3


save(keras.Sequential([keras.Input((4,)), Tripled()]), Path(sys.argv[1]))
