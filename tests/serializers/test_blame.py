"""What can't be saved is named down to its attribute, and the version is as before."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import warnings
from collections import deque

import pytest
import torch
from golden_table import Rule
from golden_torch import Net
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

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


def _state_dict(culprit):
    return {"epoch": 1, "weights": torch.ones(2), "extra": [culprit]}, "['extra'][0]"


MAKERS = {
    "pickle": _object,
    "sklearn": _estimator,
    "torch": _network,
    "checkpoint": _state_dict,
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    storage = LocalStorageNode(tmp_path_factory.mktemp("blame"))
    return ModelRegistry(storage, tracking=MemoryTrackingStore())


@pytest.fixture(params=CULPRITS)
def culprit(request):
    made = CULPRITS[request.param]()
    yield made
    if hasattr(made, "close"):
        made.close()


@pytest.mark.parametrize("kind", MAKERS)
def test_the_attribute_to_blame_is_named_and_the_version_can_still_be_saved(
    kind, culprit, registry, request
):
    name = request.node.callspec.id.replace(" ", "-")
    framework = {"checkpoint": "pytorch"}.get(kind, kind)
    model, place = MAKERS[kind](culprit)
    version = registry.register_model(name, "regression", framework).version
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SerializationError) as caught:
            registry.save_model(name, version, model)
        assert place in str(caught.value)
        assert registry.get_metadata(name, version).state == "registered"
        good = {
            "pickle": Rule,
            "sklearn": lambda: LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]),
        }.get(kind, lambda: torch.nn.Linear(1, 1))
        registry.save_model(name, version, good())
        assert registry.load_model(name, version) is not None
    assert registry.get_metadata(name, version).state == "ready"
