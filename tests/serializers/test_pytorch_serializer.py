"""torch modules: as data where that is proven equal, else as code with the reason."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from tiny_networks import Forgetful, Named, Net, Tied, Views
from torch import nn

from brixa_flows.errors import (
    DatasetError,
    DeviceUnavailableError,
    InsecureSerializationWarning,
    SerializationError,
)
from brixa_flows.serializers import LoadOptions, detect_framework, save_model_files
from brixa_flows.serializers.pytorch import PyTorchSerializer
from brixa_flows.serializers.torch_devices import present_devices

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
TORCH = PyTorchSerializer()
ON_CPU = LoadOptions(device="cpu")


def trained(model: nn.Module) -> nn.Module:
    """A model whose batch statistics are no longer those of its constructor."""
    model.train()
    with torch.no_grad():
        model(torch.as_tensor(X))
    return model


DATA = {
    "own class": lambda: trained(Net(4, hidden=2)),
    "tied": Tied,
    "sequence": lambda: nn.Sequential(nn.Linear(4, 3, bias=False), nn.LeakyReLU(0.3)),
    "nested": lambda: nn.Sequential(nn.Sequential(nn.Linear(4, 2)), nn.Softmax(dim=1)),
    "double": lambda: nn.Linear(4, 2).double(),
    "half precision": lambda: nn.Linear(4, 2).bfloat16(),
}


@pytest.mark.parametrize("name", DATA)
def test_what_can_be_built_again_is_saved_as_data(name, tmp_path, save, load):
    model = DATA[name]()
    next(model.parameters()).requires_grad_(False)
    manifest = save(model, tmp_path)
    assert manifest.saved.entry == "model.safetensors"
    loaded = load(tmp_path)
    assert not loaded.training
    state, again = model.state_dict(), loaded.state_dict()
    assert list(state) == list(again)
    assert all(torch.equal(state[key], again[key]) for key in state)
    assert [p.requires_grad for p in model.parameters()] == [
        p.requires_grad for p in loaded.parameters()
    ]
    np.testing.assert_array_equal(
        TORCH.predict(loaded, X).values, TORCH.predict(model, X).values
    )


def _hooked():
    model = nn.Linear(4, 2)
    model.register_forward_hook(lambda *_: None)
    return model


def _patched():
    model = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    model[1].inplace = True
    model[0].forward = model[1].forward
    return model


CODE = {
    "argument lost": (lambda: Forgetful(3.0), "apply_factor"),
    "views of one memory": (Views, "views of the same memory|model._parameters"),
    "a hook": (_hooked, "_forward_hooks"),
    "a patched method": (_patched, "_modules.0"),
    "a needed argument": (lambda: nn.TransformerEncoderLayer(4, 2, 8), "'d_model'"),
}


@pytest.mark.parametrize("name", CODE)
def test_what_can_not_be_built_again_is_saved_as_code_with_the_reason(name, tmp_path):
    make, reason = CODE[name]
    with pytest.warns(InsecureSerializationWarning, match=f"model.pt.*({reason})"):
        _, saved = save_model_files(make(), tmp_path)
    assert (saved.entry, saved.tier) == ("model.pt", "code")


def test_shared_tensors_stay_shared_in_both_formats(tmp_path, save, load):
    for chosen in ("safetensors", "cloudpickle"):
        save(Tied(), tmp_path / chosen, format=chosen)
        loaded = load(tmp_path / chosen)
        assert loaded.decoder.weight is loaded.encoder.weight
    save(Views(), tmp_path / "views")
    loaded = load(tmp_path / "views")
    assert loaded.a.data_ptr() == loaded.b.data_ptr()


def test_saving_moves_no_random_number_and_no_mode(tmp_path, save):
    model = trained(Net(4))
    state = torch.random.get_rng_state()
    save(model, tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(module.training for module in model.modules())


def test_predicting_is_done_in_evaluation_mode_and_gives_the_modes_back():
    model = trained(Net(4))
    model.layers[1].eval()
    modes = [module.training for module in model.modules()]
    first, second = (TORCH.predict(model, X).values for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize(
    "inputs",
    [X, X.astype("float64"), torch.as_tensor(X), pd.DataFrame(X), X.tolist()],
    ids=["array", "float64", "tensor", "frame", "lists"],
)
def test_it_takes_inputs_of_every_form(inputs):
    model = nn.Linear(4, 2)
    values = TORCH.predict(model, inputs).values
    assert isinstance(values, np.ndarray) and values.dtype == np.float32
    with torch.inference_mode():
        np.testing.assert_allclose(values, model(torch.as_tensor(X)), rtol=1e-5)


def test_a_table_of_integers_is_turned_into_numbers_the_layers_take():
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert TORCH.predict(nn.Linear(2, 1), frame).values.shape == (2, 1)


def test_inputs_by_name_and_logits_of_a_dictionary():
    values = TORCH.predict(Named(), {"left": X[:, 0], "right": X[:, 1]}).values
    assert values.shape == (5, 1)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [(X[:, :3], "Linear refused the inputs"), (np.array(["a"]), "no numbers")],
)
def test_inputs_that_do_not_fit_are_a_dataset_error(inputs, message):
    with pytest.raises(DatasetError, match=message):
        TORCH.predict(nn.Linear(4, 2), inputs)


@pytest.mark.parametrize("device", ["cuda:77", "tpu", "cuda:", ""])
def test_an_absent_device_lists_those_present(device, tmp_path, save, load):
    save(nn.Linear(1, 1), tmp_path)
    with pytest.raises(DeviceUnavailableError, match="present: .*cpu") as caught:
        load(tmp_path, device=device)
    assert caught.value.present == present_devices()


def test_auto_is_the_best_device_and_a_dtype_is_cast_on_request(tmp_path, save, load):
    save(nn.Linear(1, 1), tmp_path)
    assert str(load(tmp_path).weight.device) == present_devices()[0]
    assert load(tmp_path, device="cpu").weight.device.type == "cpu"
    assert load(tmp_path, device=torch.device("cpu")).weight.device.type == "cpu"
    for half in ("float16", "torch.float16", torch.float16):
        assert load(tmp_path, dtype=half).weight.dtype is torch.float16
    with pytest.raises(SerializationError, match="int8.*float32"):
        load(tmp_path, dtype="int8")


def test_a_lock_in_a_module_is_refused_by_the_name_of_its_attribute(tmp_path, save):
    model = nn.Linear(1, 1)
    model.lock = threading.Lock()
    with pytest.raises(SerializationError, match="attribute model.lock"):
        save(model, tmp_path)


def test_safetensors_that_was_asked_for_and_is_impossible_gives_the_reason(
    tmp_path, save
):
    with pytest.raises(SerializationError, match="safetensors.*apply_factor"):
        save(Forgetful(3.0), tmp_path, format="safetensors")


def test_a_class_that_is_not_listed_is_never_imported(tmp_path, save):
    """The trust policy judges the list; the recipe must not go beyond it."""
    saved = save(Net(4), tmp_path).saved
    config = json.loads(json.dumps(saved.config))
    config["recipe"]["class"] = "antigravity:Net"
    with pytest.raises(SerializationError, match="unlisted.*antigravity"):
        TORCH.load(tmp_path, replace(saved, config=config), ON_CPU)


@pytest.mark.parametrize(
    "path", ["subprocess:Popen", "no_such_module:Net", "torch:Net"]
)
def test_a_listed_path_must_be_a_torch_module_class(path, tmp_path, save):
    saved = save(Net(4), tmp_path).saved
    config = saved.config | {"classes": [path]}
    config["recipe"] = config["recipe"] | {"class": path}
    with pytest.raises(SerializationError, match=path):
        TORCH.load(tmp_path, replace(saved, config=config), ON_CPU)


def test_a_class_that_changed_since_is_named(tmp_path, save, monkeypatch):
    saved = save(Net(4), tmp_path).saved
    changed = type("Net", (nn.Linear,), {})
    monkeypatch.setattr("tiny_networks.Net", changed)
    with pytest.raises(SerializationError, match="can't be read|changed"):
        TORCH.load(tmp_path, saved, ON_CPU)


class Wrapped(BaseEstimator):
    """An estimator that has a network in it."""

    def __init__(self, network=None):
        self.network = network

    def predict(self, inputs):
        """What the network says."""
        return TORCH.predict(self.network, inputs).values


def test_an_estimator_around_a_network_is_of_sklearn(tmp_path, save, load):
    model = Wrapped(Net(4).eval())
    assert detect_framework(model) == "sklearn"
    assert save(model, tmp_path).saved.entry == "model.joblib"
    np.testing.assert_array_equal(load(tmp_path).predict(X), model.predict(X))
