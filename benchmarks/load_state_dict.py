"""Load a state dict through the registry: against sha256 and safetensors' load_file.

    python benchmarks/load_state_dict.py                       # 1 GiB
    python benchmarks/load_state_dict.py --megabytes 64 --rounds 2

The first load of a version checks the sha256 of every file, so it is compared with one
sha256 pass and ``load_file``; a later one of the unchanged files with ``load_file``.
Every tensor is touched (summed). Cold means that the file is not in the page cache.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from _files import forget_pages, forget_verified, ratio, sha256_pass, take_turns
from safetensors.torch import load_file

from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

LAYERS = 64


def touched(state: dict[str, torch.Tensor]) -> Any:
    """The state dict, read through to its last byte."""
    assert sum(float(tensor.sum()) for tensor in state.values())
    return state


def main() -> None:
    """Measure by both kinds of tracking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    size = options.megabytes * 2**20 // 4 // LAYERS
    print(f"state dict of {options.megabytes} MiB, {options.rounds} rounds")
    for kind, tracking in (("sqlite", None), ("memory", MemoryTrackingStore())):
        state = {f"layers.{n}.weight": torch.rand(size) for n in range(LAYERS)}
        with tempfile.TemporaryDirectory(
            prefix="brixa-bench-", dir=Path.cwd()
        ) as place:
            registry = ModelRegistry(LocalStorageNode(place), tracking=tracking)
            version = registry.register_model("state", "other", "pytorch").version
            registry.save_model("state", version, state)
            del state
            print(f" tracking in {kind}")
            measure(registry, Path(place), options.rounds)


def measure(registry: ModelRegistry, place: Path, rounds: int) -> None:
    """Load by turns and print the ratios."""
    (file,) = place.rglob("model.safetensors")

    def peer() -> Any:
        return touched(load_file(file))

    def ours() -> Any:
        return touched(registry.load_model("state", "latest"))

    sides = {
        "sha256 + load_file": lambda: (sha256_pass([file]), peer()),
        "ours, first": ours,
        "load_file": peer,
        "ours, later": ours,
    }
    ours()  # opens databases and imports
    for cache in ("warm", "cold"):

        def before(side: str, cache: str = cache) -> None:
            if side == "ours, first":
                forget_verified(file.parent)
            if cache == "cold":
                forget_pages(file.parent)

        best = take_turns(sides, rounds, before)
        peers = best["sha256 + load_file"]
        ratio(f"first load, {cache}", best["ours, first"], peers, 1.1)
        ratio(f"later load, {cache}", best["ours, later"], best["load_file"], 1.2)


if __name__ == "__main__":
    main()
