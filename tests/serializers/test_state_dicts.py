"""State dicts and checkpoints: as data, with their types, and shared where they were."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_networks import Tied
from torch import nn

from brixa_flows.errors import (
    DatasetError,
    FrameworkMismatchError,
    InsecureSerializationWarning,
    SerializationError,
)
from brixa_flows.serializers import (
    LoadOptions,
    SaveOptions,
    detect_framework,
    environment_of,
    save_model_files,
    serializer_for,
    torch_devices,
)
from brixa_flows.serializers.pytorch import PyTorchSerializer

ON_CPU = LoadOptions(device="cpu")


@pytest.fixture
def again(tmp_path):
    """What comes back of a checkpoint, through the JSON of the manifest."""

    def call(state, options=ON_CPU, **serializer):
        serializer = PyTorchSerializer(**serializer)
        saved = serializer.save(state, tmp_path, SaveOptions())
        assert saved.tier == "data"
        config = json.loads(json.dumps(saved.config, allow_nan=False))
        return serializer.load(tmp_path, replace(saved, config=config), options)

    return call


def checkpoint():
    """What a training script keeps, after one step of Adam."""
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model(torch.rand(8, 4)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "best_loss": math.inf,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


def assert_same(a, b):
    """Equal in value and in type, all the way down."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert a == b or (a != a and b != b)


def test_a_state_dict_is_detected_and_comes_back_as_what_it_was(again):
    state = Tied().state_dict()
    assert detect_framework(state) == "pytorch"
    loaded = again(state)
    assert_same(state, loaded)
    assert loaded._metadata == state._metadata
    assert Tied().load_state_dict(loaded).missing_keys == []


def test_a_checkpoint_goes_where_the_version_is_registered_as_pytorch(tmp_path, again):
    state = checkpoint()
    assert detect_framework(state) == "pickle"
    framework, serializer = serializer_for(state, "torch")
    assert (framework, type(serializer)) == ("pytorch", PyTorchSerializer)
    with pytest.raises(FrameworkMismatchError, match="sklearn.*a dict with the key"):
        serializer_for(state, "sklearn")
    loaded = again(state)
    assert_same(state, loaded)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.load_state_dict(loaded["optimizer"])
    assert optimizer.param_groups[0]["lr"] == 0.01


def test_plain_values_and_keys_of_every_kind_keep_their_types(again):
    state = {
        "values": [None, True, 3, 2.5, -math.inf, math.nan, "ü", 2**80],
        "tuples": ((), (1, (2, [3]))),
        "torch": (torch.float16, torch.Size([2, 3])),
        1: {2.5: 0, None: 1, False: 2, (1, "a"): 3, "": 4},
        "ordered": OrderedDict([("b", 1), ("a", torch.ones(2))]),
        "like a node": {"tensor": "model", "dict": []},
        "__metadata__": torch.zeros(1),
        "a.b": torch.ones(1),
        "a": {"b": torch.zeros(1)},
    }
    assert_same(state, again(state))


def test_parameters_and_gradients_come_back_as_such(again):
    weight = nn.Parameter(torch.ones(2))
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    state = {"w": weight, "same": weight, "f": frozen}
    state["g"] = torch.ones(1, requires_grad=True)
    loaded = again(state)
    assert_same(state, loaded)
    assert loaded["w"] is loaded["same"]
    assert [each.requires_grad for each in loaded.values()] == [True, True, False, True]


def test_tensors_that_share_memory_still_do(again, tmp_path):
    memory = torch.rand(4, 4)
    state = {
        "all": memory,
        "again": memory.detach(),
        "transposed": memory.t(),
        "row": memory[1],
        "corner": memory[2:, 2:],
    }
    loaded = again(state)
    assert_same(state, loaded)
    assert (tmp_path / "model.safetensors").stat().st_size < 2 * 64 + 80
    loaded["all"][1, 2] = 7.0
    loaded["all"][3, 3] = 8.0
    assert loaded["again"][1, 2] == loaded["transposed"][2, 1] == loaded["row"][2] == 7
    assert loaded["corner"][1, 1] == 8


def test_shards_hold_a_checkpoint_too(again, tmp_path):
    state = checkpoint()
    assert_same(state, again(state, shard_bytes=64))
    assert len(list((tmp_path / "model").iterdir())) > 3


def test_device_and_dtype_are_those_asked_for(again, tmp_path, monkeypatch):
    state = {"w": torch.ones(2, dtype=torch.float64), "ids": torch.arange(2)}
    state["view"] = state["w"][:1]
    loaded = again(state, LoadOptions(device="cpu", dtype="bfloat16"))
    assert [each.dtype for each in loaded.values()] == [
        torch.bfloat16,
        torch.int64,
        torch.bfloat16,
    ]
    assert loaded["view"].data_ptr() == loaded["w"].data_ptr()
    # The meta device stands in for a graphics card, the first of those present.
    monkeypatch.setattr(torch_devices, "present_devices", lambda: ("meta", "cpu"))
    serializer = PyTorchSerializer()
    (tmp_path / "model.safetensors").unlink()
    saved = serializer.save(state, tmp_path, SaveOptions())
    best = serializer.load(tmp_path, saved, LoadOptions(device="auto"))
    assert {each.device.type for each in best.values()} == {"meta"}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"args": {"model": object()}}, r"\['args'\]\['model'\] has a builtins.object"),
        ({"n": np.float64(1)}, r"state_dict\['n'\] has a numpy.float64"),
        ({"d": defaultdict(list)}, "collections.defaultdict"),
        ({"k": {b"key": 1}}, "builtins.bytes as a key"),
        ({"list": [1, {2}]}, r"state_dict\['list'\]\[1\] has a builtins.set"),
        ({"s": torch.eye(2).to_sparse()}, r"\['s'\] is no dense tensor"),
        ({"text": "\ud800"}, "no text in UTF-8"),
    ],
    ids=["object", "numpy", "defaultdict", "bytes key", "set", "sparse", "surrogate"],
)
def test_what_has_no_place_in_a_state_dict_is_named(state, message, tmp_path):
    with pytest.raises(SerializationError, match=message):
        save_model_files(state, tmp_path, "pytorch")
    assert not list(tmp_path.iterdir())


def test_views_that_no_tensor_covers_and_endless_nesting_are_refused(tmp_path):
    memory = torch.rand(4)
    with pytest.raises(SerializationError, match="a and b are overlapping.*clone"):
        save_model_files({"a": memory[:3], "b": memory[1:]}, tmp_path)
    endless: dict[str, object] = {}
    endless["self"] = endless
    with pytest.raises(SerializationError, match="contains itself"):
        save_model_files(endless, tmp_path, "pytorch")


def test_a_state_dict_can_not_predict_and_says_what_can():
    with pytest.raises(DatasetError, match=r"give it to load_state_dict\(\)"):
        PyTorchSerializer().predict({"w": torch.ones(1)}, np.ones((1, 1)))


LIES = {
    "a tensor that is not there": {"structure": {"dict": [["w", {"tensor": "v"}]]}},
    "an unknown kind": {"structure": {"__import__": "os"}},
    "a function for a dtype": {"structure": {"dtype": "load"}},
    "two kinds": {"structure": {"tuple": [], "float": "1"}},
    "pairs that are none": {"structure": {"dict": ["w"]}},
    "a list as a key": {"structure": {"dict": [[[1], 2]]}},
    "a tensor with more": {"structure": {"tensor": "w", "device": "cpu"}},
    "a gradient of integers": {"structure": {"tensor": "n", "parameter": True}},
    "no floating number": {"structure": {"float": "x"}},
    "views that are none": {"views": 3},
    "a view beyond its holder": {
        "views": {"v": {"of": "w", "size": [9], "stride": [1], "offset": 0}}
    },
    "a view before its holder": {
        "views": {"v": {"of": "w", "size": [1], "stride": [1], "offset": -1}}
    },
    "a view of nothing": {
        "views": {"v": {"of": "x", "size": [1], "stride": [1], "offset": 0}}
    },
    "shards that are none": {"shards": [1]},
}


def test_the_environment_of_a_state_dict_names_torch():
    state = torch.nn.Linear(1, 1).state_dict()
    assert environment_of(state, "pytorch")["torch"] == torch.__version__
    assert "torch" not in environment_of({"a": 1}, "pickle")


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (checkpoint, "framework='pytorch'"),
        (lambda: [checkpoint()], "framework='pytorch'"),
        (lambda: {"a": [1, {"b": 2}]}, None),
    ],
    ids=["checkpoint", "list of checkpoints", "no tensors"],
)
def test_a_checkpoint_that_is_pickled_is_told_how_it_becomes_data(
    make, remedy, tmp_path
):
    with pytest.warns(InsecureSerializationWarning) as warned:
        _, saved = save_model_files(make(), tmp_path)
    assert saved.format == "pickle"
    assert (str(remedy) in str(warned[0].message)) is (remedy is not None)


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_about_the_structure_is_a_serialization_error(
    lie, tmp_path
):
    serializer = PyTorchSerializer()
    state = {"w": torch.ones(4), "n": torch.arange(2)}
    saved = serializer.save(state, tmp_path, SaveOptions())
    lying = replace(saved, config=saved.config | LIES[lie])
    with pytest.raises(SerializationError):
        serializer.load(tmp_path, lying, ON_CPU)
