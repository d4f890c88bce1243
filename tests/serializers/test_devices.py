"""What a graphics card wrote loads where there is none, and which device is the best.

This machine has none, so the files get the tags that torch writes for ``cuda:0``.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch
import torch_cases
from hostile_content import forge, write_zip, zip_parts
from sklearn.base import BaseEstimator
from torch import nn

from brixa_flows.errors import DeviceUnavailableError
from brixa_flows.serializers import LoadOptions, SaveOptions, read_manifest
from brixa_flows.serializers.pytorch import PyTorchSerializer
from brixa_flows.serializers.torch_devices import present_devices, torch_device
from brixa_flows.testing.serializers import SavedVersion

TORCH = PyTorchSerializer()
X = torch_cases.X


def tagged(content: bytes) -> bytes:
    """A pickle whose storages are on ``cuda:0``."""
    named = b"X\x03\0\0\0cpu"
    assert named in content
    return content.replace(named, b"X\x06\0\0\0cuda:0")


def tagged_archive(content: bytes) -> bytes:
    """An archive of ``torch.save`` whose storages are on ``cuda:0``."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        with zipfile.ZipFile(target, "w") as copy:
            for name in source.namelist():
                part = source.read(name)
                part = tagged(part) if name.endswith("data.pkl") else part
                copy.writestr(name, part)
    return target.getvalue()


def tagged_part(name: str, content: bytes) -> bytes:
    """A member of TorchScript or of an exported program."""
    if name.endswith(".json"):
        on_cpu = b'{"type": "cpu", "index": null}'
        return content.replace(on_cpu, b'{"type": "cuda", "index": 0}')
    if name.endswith(".pt"):
        return tagged_archive(content)
    return tagged(content) if name.endswith("/data.pkl") else content


@pytest.fixture(params=["torchscript", "pt2"])
def program(request, tmp_path):
    """A version of a graphics card, and what it predicted there."""
    case = next(each for each in torch_cases.CASES if each.format == request.param)
    version = SavedVersion.of(case.model, tmp_path / "v", case.save_options)
    predicted = TORCH.predict(version.load(LoadOptions(device="cpu")), X).values
    path = version.directory / version.manifest.saved.entry
    parts = {name: tagged_part(name, part) for name, part in zip_parts(path).items()}
    write_zip(path, parts)
    load = torch.jit.load if request.param == "torchscript" else torch.export.load
    with pytest.raises((AssertionError, NotImplementedError), match="CUDA"):
        load(path)
    forge(version.directory)
    manifest = read_manifest(version.directory)
    return SavedVersion(version.directory, manifest, ()), predicted


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_program_of_a_graphics_card_predicts_the_same_without_one(device, program):
    version, predicted = program
    loaded = version.load(LoadOptions(device=device))
    np.testing.assert_array_equal(TORCH.predict(loaded, X).values, predicted)
    tensors = loaded.state_dict
    tensors = tensors() if callable(tensors) else tensors
    assert {str(each.device) for each in tensors.values()} == {"cpu"}


def test_a_program_of_an_absent_device_is_refused_on_it_with_those_present(program):
    version, _ = program
    with pytest.raises(DeviceUnavailableError, match="'cuda:0'.*present: cpu"):
        version.load(LoadOptions(device="cuda:0"))


class Around(BaseEstimator):
    """An estimator that has a network in it."""

    def __init__(self, network=None):
        self.network = network

    def predict(self, inputs):
        """What the network says."""
        return TORCH.predict(self.network, inputs).values


@pytest.mark.parametrize(
    ("make", "format"),
    [
        (Around, None),
        (Around, "cloudpickle"),
        (lambda network: [Around(network)], None),
        (lambda network: [Around(network)], "cloudpickle"),
    ],
)
def test_a_network_inside_of_another_object_comes_onto_the_cpu_too(
    make, format, tmp_path, monkeypatch
):
    network = nn.Linear(4, 2)
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
    options = SaveOptions(format=format)
    version = SavedVersion.of(make(network), tmp_path / "v", options)
    monkeypatch.undo()
    loaded = version.load(LoadOptions(device="cpu"))
    inside = loaded[0] if isinstance(loaded, list) else loaded
    np.testing.assert_array_equal(inside.predict(X), TORCH.predict(network, X).values)


class Placed(nn.Module):
    """Remembers a device that its constructor was told."""

    def __init__(self, device="cpu"):
        super().__init__()
        self.device = device
        self.layer = nn.Linear(4, 2)

    def forward(self, inputs):
        """The layer alone."""
        return self.layer(inputs)


def test_a_constructor_that_needs_a_graphics_card_is_not_called_to_load(tmp_path):
    version = SavedVersion.of(Placed(), tmp_path / "cpu", SaveOptions())
    assert version.manifest.saved.format == "safetensors"
    version = SavedVersion.of(Placed("cuda:1"), tmp_path / "cuda", SaveOptions())
    assert version.manifest.saved.format == "cloudpickle"
    assert "argument 'device' is 'cuda:1'" in version.warned[0]
    assert version.load(LoadOptions(device="cpu")).layer.weight.device.type == "cpu"


@pytest.mark.parametrize(
    ("cards", "has_mps", "order"),
    [
        (2, True, ("cuda:0", "cuda:1", "mps", "cpu")),
        (0, True, ("mps", "cpu")),
        (1, False, ("cuda:0", "cpu")),
        (0, False, ("cpu",)),
    ],
)
def test_auto_is_cuda_then_mps_then_the_cpu(cards, has_mps, order, monkeypatch):
    """Only what torch answers about this machine is replaced: CI has neither of them."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)
    assert present_devices() == order
    assert str(torch_device("auto")) == order[0]
    with pytest.raises(DeviceUnavailableError, match=f"present: {', '.join(order)}"):
        torch_device("cuda:7")
