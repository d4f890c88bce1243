"""Networks in every format of PyTorch and Hugging Face."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import torch
from golden_torch import Forgetful, Net, Tied
from model_case import ModelCase, class_of_main
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedTokenizerFast,
)

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
IDS = {"input_ids": np.array([[2, 4], [3, 0]])}
WORDS = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "good", "bad", "film"])}

NETWORK_OF_MAIN = """
class Notebook(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)
    def forward(self, x):
        return self.linear(x)
"""


def seeded(make):
    """A maker whose random numbers are always the same; its model is in training."""

    def call():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return make()

    return call


def make_trained():
    """A network whose batch statistics are no longer those of its constructor."""
    model = Net(4)
    with torch.no_grad():
        model(torch.as_tensor(X))
    return model


def make_tokenizer():
    """One word, one token."""
    words = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]"
    )


def make_classifier():
    """DistilBERT in miniature."""
    config = DistilBertConfig(
        vocab_size=len(WORDS),
        dim=8,
        hidden_dim=16,
        n_layers=1,
        n_heads=2,
        max_position_embeddings=16,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
    )
    return DistilBertForSequenceClassification(config)


def make_network_of_main():
    """The spec's first example: a network whose class lives in ``__main__``."""
    return class_of_main(NETWORK_OF_MAIN, "Notebook", nn=nn)()


def make_state():
    """What most checkpoints are."""
    return make_trained().state_dict()


def make_script():
    """A scripted network, without the paths of this machine that torch keeps."""
    network = torch.jit.script(nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval())
    script, plain = io.BytesIO(), io.BytesIO()
    torch.jit.save(network, script)
    with zipfile.ZipFile(script) as source, zipfile.ZipFile(plain, "w") as target:
        for name in source.namelist():
            if not name.endswith(".debug_pkl"):
                target.writestr(name, source.read(name))
    plain.seek(0)
    return torch.jit.load(plain)


def make_program():
    """An exported network, for batches of any size."""
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()
    rows = {0: torch.export.Dim("rows", min=1, max=64)}
    program = torch.export.export(
        network, (torch.as_tensor(X),), dynamic_shapes={"input": rows}
    )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


CASES = [
    ModelCase("pytorch", "safetensors", seeded(make_trained), X),
    ModelCase("pytorch", "safetensors", seeded(Tied), X, variant="tied"),
    ModelCase("pytorch", "cloudpickle", seeded(lambda: Forgetful(3.0)), X),
    ModelCase(
        "pytorch", "cloudpickle", seeded(make_network_of_main), X, variant="main"
    ),
    ModelCase("pytorch", "safetensors", seeded(make_state), None, variant="state"),
    ModelCase("pytorch", "torchscript", seeded(make_script), X),
    ModelCase("pytorch", "pt2", seeded(make_program), X),
    ModelCase(
        "transformers",
        "safetensors",
        seeded(make_classifier),
        IDS,
        {"tokenizer": make_tokenizer},
    ),
    ModelCase(
        "pytorch",
        "safetensors",
        seeded(make_trained),
        X,
        variant="sharded",
        shard_bytes=64,
    ),
    ModelCase(
        "pytorch",
        "safetensors",
        seeded(make_state),
        None,
        variant="state-sharded",
        shard_bytes=64,
    ),
    ModelCase(
        "transformers",
        "safetensors",
        seeded(make_classifier),
        IDS,
        variant="sharded",
        shard_bytes=2000,
    ),
]
