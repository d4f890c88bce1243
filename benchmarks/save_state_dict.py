"""Save a state dict through the registry: against a plain write and one sha256 pass.

    python benchmarks/save_state_dict.py                       # 1 GiB
    python benchmarks/save_state_dict.py --megabytes 64 --rounds 2

Ours forces the file to the device before the version can be seen; the peer is given
both without that (as the target says) and with it. The memory is the anonymous memory
that the process takes at most while it saves.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import warnings
from pathlib import Path

import torch
from _files import PIECE_BYTES, peak_memory, ratio, sha256_pass, take_turns

from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode

LAYERS = 64


def plain_write(path: Path, state: dict[str, torch.Tensor], *, sync: bool) -> None:
    """Write the bytes of the tensors and hash the file."""
    with path.open("wb") as file:
        for tensor in state.values():
            data = memoryview(tensor.view(torch.uint8).numpy())
            for start in range(0, len(data), PIECE_BYTES):
                file.write(data[start : start + PIECE_BYTES])
        file.flush()
        if sync:
            os.fsync(file.fileno())
    sha256_pass([path])


def main() -> None:
    """Measure all sides by turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    size = options.megabytes * 2**20 // 4 // LAYERS
    state = {f"layers.{n}.weight": torch.rand(size) for n in range(LAYERS)}
    with tempfile.TemporaryDirectory(prefix="brixa-bench-", dir=Path.cwd()) as place:
        folder = Path(place)
        registry = ModelRegistry(LocalStorageNode(folder / "brixa"))
        versions = []

        def before(side: str) -> None:
            (folder / "plain").unlink(missing_ok=True)
            for old in versions:
                registry.delete_version("state", old)
            registry.collect_garbage(remove=True)
            versions.clear()
            if side == "ours":
                versions.append(
                    registry.register_model("state", "other", "pytorch").version
                )
            os.sync()

        sides = {
            "plain": lambda: plain_write(folder / "plain", state, sync=False),
            "ours": lambda: registry.save_model("state", versions[0], state),
            "synced": lambda: plain_write(folder / "plain", state, sync=True),
        }
        small = registry.register_model("small", "other", "pytorch").version
        registry.save_model("small", small, {"one": torch.ones(1)})  # imports
        before("ours")
        with peak_memory() as peak:
            sides["ours"]()
        best = take_turns(sides, options.rounds, before)
    print(f"state dict of {options.megabytes} MiB, {options.rounds} rounds")
    ratio("write + sha256", best["ours"], best["plain"], 1.5)
    ratio("write + fsync + sha256", best["ours"], best["synced"], 1.5)
    print(f"  extra memory {peak[0] / 2**20:.0f} MiB (to reach: 100 MiB)")


if __name__ == "__main__":
    main()
