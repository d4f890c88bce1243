"""TorchScript and exported programs, and where modules of every format land."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_networks import Forgetful
from torch import nn

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers import (
    LoadOptions,
    SaveOptions,
    detect_framework,
    torch_devices,
    torch_programs,
)
from brixa_flows.serializers.pytorch import PyTorchSerializer

TORCH = PyTorchSerializer()
ON_CPU = LoadOptions(device="cpu")
X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


@pytest.fixture(scope="module")
def network():
    """Two numbers a row."""
    return nn.Sequential(nn.Linear(4, 2), nn.ReLU()).eval()


@pytest.fixture(scope="module")
def program(network):
    """The network, exported for any number of rows."""
    rows = {0: torch.export.Dim("rows", min=1, max=64)}
    return torch.export.export(
        network, (torch.as_tensor(X),), dynamic_shapes={"input": rows}
    )


def again(model, directory, options=ON_CPU, **changes):
    """What comes back."""
    saved = TORCH.save(model, directory, SaveOptions())
    return TORCH.load(directory, replace(saved, **changes), options)


def test_scripted_traced_and_frozen_modules_come_back_as_torchscript(network, tmp_path):
    scripted = torch.jit.script(network)
    modules = {
        "scripted": scripted,
        "traced": torch.jit.trace(network, torch.as_tensor(X)),
        "frozen": torch.jit.freeze(scripted),
    }
    for name, module in modules.items():
        assert detect_framework(module) == "pytorch"
        (tmp_path / name).mkdir()
        saved = TORCH.save(module, tmp_path / name, SaveOptions())
        assert (saved.format, saved.tier) == ("torchscript", "code")
        loaded = TORCH.load(tmp_path / name, saved, ON_CPU)
        assert isinstance(loaded, torch.jit.ScriptModule)
        np.testing.assert_array_equal(
            TORCH.predict(loaded, X).values, TORCH.predict(network, X).values
        )
    half = TORCH.load(
        tmp_path / "scripted",
        replace(saved, entry="model.pt"),
        LoadOptions(device="cpu", dtype="float64"),
    )
    assert next(half.parameters()).dtype is torch.float64


def test_an_exported_program_predicts_any_batch_it_was_exported_for(
    network, program, tmp_path
):
    assert detect_framework(program) == "pytorch"
    loaded = again(program, tmp_path)
    assert type(loaded) is torch.export.ExportedProgram
    for rows in (X, X[:2]):
        np.testing.assert_array_equal(
            TORCH.predict(loaded, rows).values, TORCH.predict(network, rows).values
        )
    with pytest.raises(DatasetError, match="ExportedProgram refused the inputs"):
        TORCH.predict(loaded, X[:, :3])


def test_a_program_moves_to_the_device_and_keeps_its_dtypes(
    program, tmp_path, monkeypatch
):
    with pytest.raises(SerializationError, match="export the module again"):
        again(program, tmp_path, LoadOptions(device="cpu", dtype="float16"))
    # The meta device stands in for a graphics card, the first of those present.
    monkeypatch.setattr(torch_devices, "present_devices", lambda: ("meta", "cpu"))
    (tmp_path / "model.pt2").unlink()
    moved = again(program, tmp_path, LoadOptions(device="auto"))
    assert {each.device.type for each in moved.state_dict.values()} == {"meta"}


def test_the_module_of_a_program_is_made_once_and_goes_with_it(program, tmp_path):
    loaded = again(program, tmp_path)
    TORCH.predict(loaded, X)
    made = weakref.ref(torch_programs._MODULES[loaded])
    TORCH.predict(loaded, X)
    assert made() is torch_programs._MODULES[loaded]
    del loaded
    gc.collect()
    assert made() is None


@pytest.mark.parametrize("form", ["torchscript", "pt2"])
def test_a_file_that_is_no_program_is_a_serialization_error(form, tmp_path, network):
    saved = TORCH.save(network, tmp_path, SaveOptions())
    with pytest.raises(SerializationError, match="can't be read"):
        TORCH.load(tmp_path, replace(saved, format=form), ON_CPU)


def test_what_a_graphics_card_wrote_loads_on_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
    saved = TORCH.save(Forgetful(), tmp_path, SaveOptions(format="cloudpickle"))
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(tmp_path / saved.entry, weights_only=False)
    loaded = TORCH.load(tmp_path, saved, ON_CPU)
    assert {each.device.type for each in loaded.parameters()} == {"cpu"}


def test_modules_land_on_the_best_device_of_those_present(
    network, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch_devices, "present_devices", lambda: ("meta", "cpu"))
    best = again(network, tmp_path, LoadOptions(device="auto"))
    assert {each.device.type for each in best.parameters()} == {"meta"}


def test_a_module_goes_into_shards_and_comes_back(network, tmp_path):
    saved = PyTorchSerializer(shard_bytes=16).save(network, tmp_path, SaveOptions())
    assert saved.entry == "model" and len(saved.config["shards"]) == 2
    loaded = TORCH.load(tmp_path, saved, ON_CPU)
    np.testing.assert_array_equal(
        TORCH.predict(loaded, X).values, TORCH.predict(network, X).values
    )


LIES = {
    "no recipe": {"recipe": None},
    "a recipe without arguments": {"recipe": {"class": "torch.nn:Linear"}},
    "arguments of another class": {
        "recipe": {"class": "torch.nn.modules.linear:Linear", "args": {"x": 1}},
        "classes": ["torch.nn.modules.linear:Linear"],
    },
    "classes that are none": {"classes": 3},
    "a dtype that is a function": {
        "recipe": {"class": "torch.nn.modules.container:Sequential", "dtype": "load"}
    },
    "children that are none": {
        "recipe": {
            "class": "torch.nn.modules.container:Sequential",
            "children": ["0"],
        }
    },
    "something shared with nothing": {"shared": {"1.weight": "no.weight"}},
    "shards that are not there": {"shards": {"a.safetensors": ["0.weight"]}},
    "shards that are none": {"shards": ["x"]},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_about_a_module_is_a_serialization_error(
    lie, network, tmp_path
):
    saved = TORCH.save(network, tmp_path, SaveOptions())
    lying = replace(saved, config=saved.config | LIES[lie])
    with pytest.raises(SerializationError):
        TORCH.load(tmp_path, lying, ON_CPU)
