"""What can't be saved is named down to its attribute, and the version is as before."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import warnings
from collections import deque

import keras
import pytest
import torch
from golden_table import Rule
from golden_torch import Net
from lightgbm import LGBMRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch_cases import make_classifier, make_tokenizer
from transformers import GenerationConfig

from brixa_flows.errors import SerializationError
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

CULPRITS = {
    "open file": lambda: open(os.devnull, "w"),
    "lock": threading.Lock,
    "generator": lambda: (each for each in ()),
    "socket": socket.socket,
    "thread": threading.Thread,
    "database": lambda: sqlite3.connect(":memory:"),
}


def _object(culprit):
    rule = Rule()
    rule.deep = {"parts": [1, (deque([culprit]),)]}
    return rule, "model.deep['parts'][1][0][0]"


def _estimator(culprit):
    model = make_pipeline(
        FunctionTransformer(kw_args={"by": culprit}), LinearRegression()
    )
    return model, "model.steps[0][1].kw_args['by']"


def _network(culprit):
    model = torch.nn.Sequential(Net(4))
    model[0].layers[0].helper = [culprit]
    return model, ".helper[0]"


def _as_skops(culprit):
    return _estimator(culprit)


def _layers(culprit):
    """A layer whose constructor was given it."""
    layers = [keras.Input((4,)), Scaled({"by": [culprit]}, name="first")]
    return keras.Sequential(layers), "model.first.options['by'][0]"


def _function_of_a_layer(culprit):
    def plus(x):
        return x if culprit else x + 1

    layers = [keras.Input((4,)), keras.layers.Lambda(plus)]
    return keras.Sequential(layers), "['plus'].culprit"


def _hugging_face(culprit):
    model = make_classifier()
    model.config.helper = {"parts": [culprit]}
    return model, "model.config.helper['parts'][0]"


def _head_of_hugging_face(culprit):
    model = make_classifier()
    model.classifier = torch.nn.Sequential(torch.nn.Linear(8, 2))
    model.classifier[0].helper = [culprit]
    return model, "model.classifier[0].helper[0]"


def _boosted(culprit):
    model = LGBMRegressor(n_estimators=1, verbose=-1).fit([[0.0], [1.0]], [0.0, 1.0])
    model.helper = culprit
    return model, "model.helper"


def _state_dict(culprit):
    return {"epoch": 1, "weights": torch.ones(2), "extra": [culprit]}, "['extra'][0]"


MAKERS = {
    "pickle": _object,
    "sklearn": _estimator,
    "skops": _as_skops,
    "torch": _network,
    "checkpoint": _state_dict,
    "keras": _layers,
    "keras function": _function_of_a_layer,
    "hugging face": _hugging_face,
    "hugging face head": _head_of_hugging_face,
    "lightgbm": _boosted,
}
FRAMEWORKS = {
    "skops": "sklearn",
    "checkpoint": "pytorch",
    "keras function": "keras",
    "hugging face": "torch",
    "hugging face head": "torch",
}


class Scaled(keras.layers.Layer):
    """A layer that keeps what its constructor is given."""

    def __init__(self, options, **others):
        super().__init__(**others)
        self.options = options

    def call(self, x):
        return x

    def get_config(self):
        return super().get_config() | {"options": self.options}


def _good(framework):
    """A model of the same framework that can be saved."""
    rows, values = [[0.0], [1.0]], [0.0, 1.0]
    return {
        "pickle": Rule,
        "sklearn": lambda: LinearRegression().fit(rows, values),
        "lightgbm": lambda: LGBMRegressor(n_estimators=1, verbose=-1).fit(rows, values),
        "keras": lambda: keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]),
    }.get(framework, lambda: torch.nn.Linear(1, 1))()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    storage = LocalStorageNode(tmp_path_factory.mktemp("blame"))
    return ModelRegistry(storage, tracking=MemoryTrackingStore())


EVERYTHING = ("pickle", "sklearn", "torch", "checkpoint")
PAIRS = [
    (kind, each)
    for kind in MAKERS
    for each in (CULPRITS if kind in EVERYTHING else ("lock", "open file"))
]


@pytest.fixture
def culprit(request):
    made = CULPRITS[request.param]()
    yield made
    if hasattr(made, "close"):
        made.close()


@pytest.mark.parametrize(("kind", "culprit"), PAIRS, indirect=["culprit"])
def test_the_attribute_to_blame_is_named_and_the_version_can_still_be_saved(
    kind, culprit, registry, request
):
    name = request.node.callspec.id.replace(" ", "-")
    framework = FRAMEWORKS.get(kind, kind)
    options = {"format": "skops"} if kind == "skops" else {}
    model, place = MAKERS[kind](culprit)
    version = registry.register_model(name, "regression", framework).version
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SerializationError) as caught:
            registry.save_model(name, version, model, **options)
        assert place in str(caught.value)
        assert registry.get_metadata(name, version).state == "registered"
        registry.save_model(name, version, _good(framework))
        assert registry.load_model(name, version) is not None
    assert registry.get_metadata(name, version).state == "ready"


@pytest.mark.parametrize("attached", ["tokenizer", "generation_config"])
def test_the_attribute_of_what_is_kept_with_a_hugging_face_model_is_named(
    attached, registry
):
    made = {"tokenizer": make_tokenizer, "generation_config": GenerationConfig}
    extra = made[attached]()
    if attached == "tokenizer":
        extra.init_kwargs["helper"] = [threading.Lock()]
        place = "tokenizer.init_kwargs['helper'][0]"
    else:
        extra.helper = [threading.Lock()]
        place = "generation_config.helper[0]"
    version = registry.register_model(attached, "classification", "torch").version
    with pytest.raises(SerializationError) as caught:
        registry.save_model(attached, version, make_classifier(), **{attached: extra})
    assert place in str(caught.value)
    with pytest.raises(SerializationError, match=f"{attached}= is a str"):
        registry.save_model(attached, version, make_classifier(), **{attached: "bert"})
