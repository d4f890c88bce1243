"""Lightning modules after a training: as data, without the trainer."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from tiny_lightning import Regression
from torch.utils.data import DataLoader, TensorDataset

from brixa_flows.serializers import detect_framework
from brixa_flows.serializers.pytorch import PyTorchSerializer


@pytest.fixture(scope="module")
def trained():
    """A module that still holds its trainer."""
    inputs = torch.rand(8, 4)
    data = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=4)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Regression(4, rate=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few workers, few batches
        trainer.fit(model, data)
    assert model.trainer is trainer
    return model


@pytest.mark.parametrize(
    ("chosen", "entry"),
    [(None, "model.safetensors"), ("cloudpickle", "model.pt")],
    ids=["data", "code"],
)
def test_a_trained_module_comes_back_without_its_trainer(
    chosen, entry, trained, tmp_path, save, load
):
    assert detect_framework(trained) == "pytorch"
    assert save(trained, tmp_path, format=chosen).saved.entry == entry
    loaded = load(tmp_path)
    assert type(loaded) is Regression
    assert loaded._trainer is None and trained._trainer is not None
    assert dict(loaded.hparams) == {"width": 4, "rate": 0.05}
    assert (loaded.device.type, loaded.dtype) == ("cpu", torch.float32)
    inputs = np.ones((3, 4), dtype="float32")
    torch_serializer = PyTorchSerializer()
    np.testing.assert_array_equal(
        torch_serializer.predict(loaded, inputs).values,
        torch_serializer.predict(trained, inputs).values,
    )
