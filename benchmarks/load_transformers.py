"""Load a Hugging Face model through the registry: against sha256 and from_pretrained.

    python benchmarks/load_transformers.py                     # about 1 GB
    python benchmarks/load_transformers.py --layers 2 --rounds 2

The first load of a version checks the sha256 of every file, so it is compared with one
sha256 pass and ``from_pretrained``; a later one of the unchanged files with
``from_pretrained``. Every parameter is touched (summed). Cold means that the files are
not in the page cache.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from _files import (
    files_below,
    forget_pages,
    forget_verified,
    ratio,
    sha256_pass,
    take_turns,
)
from transformers import GPT2Config, GPT2LMHeadModel

from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode


def touched(model: torch.nn.Module) -> Any:
    """The model, read through to its last byte."""
    assert sum(float(each.sum()) for each in model.parameters())
    return model


def main() -> None:
    """Measure all sides by turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    config = GPT2Config(n_embd=768, n_head=12, n_layer=options.layers)
    model = GPT2LMHeadModel(config).eval()
    with tempfile.TemporaryDirectory(prefix="brixa-bench-", dir=Path.cwd()) as place:
        registry = ModelRegistry(LocalStorageNode(place))
        version = registry.register_model("gpt", "generation", "pytorch").version
        registry.save_model("gpt", version, model)
        del model
        (file,) = Path(place).rglob("model.safetensors")
        folder = file.parent
        files = files_below(folder)

        def peer() -> Any:
            return touched(GPT2LMHeadModel.from_pretrained(folder))

        def ours() -> Any:
            return touched(registry.load_model("gpt", version))

        sides = {
            "sha256 + from_pretrained": lambda: (sha256_pass(files), peer()),
            "ours, first": ours,
            "from_pretrained": peer,
            "ours, later": ours,
        }
        ours()  # opens databases and imports
        size = sum(each.stat().st_size for each in files) // 2**20
        print(f"GPT-2 of {size} MiB, {options.rounds} rounds")
        for cache in ("warm", "cold"):

            def before(side: str, cache: str = cache) -> None:
                if side == "ours, first":
                    forget_verified(folder)
                if cache == "cold":
                    forget_pages(folder)

            best = take_turns(sides, options.rounds, before)
            peers = best["sha256 + from_pretrained"]
            ratio(f"first load, {cache}", best["ours, first"], peers, 1.1)
            peers = best["from_pretrained"]
            ratio(f"later load, {cache}", best["ours, later"], peers, 1.2)


if __name__ == "__main__":
    main()
