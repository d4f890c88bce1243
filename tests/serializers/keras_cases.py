"""Networks in every format of Keras and TensorFlow."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from golden_keras import Doubled, Own, halved
from model_case import ModelCase, class_of_main

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")

LAYER_OF_MAIN = """
class Tripled(keras.layers.Layer):
    def call(self, x):
        return x * 3
"""


def make_trained():
    """Built, compiled, trained for a step."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)]
    model = keras.Sequential(layers)
    model.compile(loss="mse", optimizer="sgd")
    model.train_on_batch(X, X[:, :3])
    return model


def make_own():
    """Classes and functions of an importable module."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    return keras.Sequential([inputs, Doubled(), keras.layers.Dense(2, halved)])


def make_subclassed():
    """A model class of one's own."""
    keras.utils.set_random_seed(0)
    model = Own()
    model(X)
    return model


def make_layer_of_main():
    """A layer whose class no other process can import."""
    layer = class_of_main(LAYER_OF_MAIN, "Tripled", keras=keras)()
    return keras.Sequential([keras.Input((4,)), layer])


class Scaled(tf.Module):
    """No Keras model, and called by a declared signature."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
    def __call__(self, x):
        return x * self.factor


def make_lambda():
    """Safe mode never loads it."""
    times = eval("lambda x: x * 7", {"__name__": "__main__"})  # of no file's path
    return keras.Sequential([keras.Input((4,)), keras.layers.Lambda(times)])


CASES = [
    ModelCase("tensorflow", "keras", make_trained, X),
    ModelCase("tensorflow", "keras", make_own, X, variant="own"),
    ModelCase("tensorflow", "keras", make_subclassed, X, variant="subclass"),
    ModelCase("tensorflow", "keras-cloudpickle", make_layer_of_main, X, variant="main"),
    ModelCase("tensorflow", "keras-cloudpickle", make_lambda, X, variant="lambda"),
    ModelCase("saved_model", "saved_model", Scaled, X),
]
