"""Load a forest through the registry: against sha256 and joblib's memory-mapped load.

    python benchmarks/load_forest.py                       # 300 MB
    python benchmarks/load_forest.py --megabytes 32 --rounds 2

The first load of a version checks the sha256 of every file, so it is compared with one
sha256 pass and ``joblib.load(mmap_mode="r")``; a later one of the unchanged files with
that load alone. The peer reads a file that ``joblib.dump`` wrote. Every loaded forest
predicts. Cold means that the file is not in the page cache.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from _files import forget_pages, forget_verified, ratio, sha256_pass, take_turns
from sklearn.ensemble import ExtraTreesRegressor

from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

TREES, COLUMNS, NODE_BYTES = 64, 8, 72
ROWS = np.random.default_rng(1).random((200, COLUMNS))


def forest(megabytes: int) -> ExtraTreesRegressor:
    """Of that size: a full tree has two nodes for each row it saw."""
    rows = megabytes * 10**6 // (TREES * NODE_BYTES * 2)
    rng = np.random.default_rng(0)
    model = ExtraTreesRegressor(TREES, max_features=1, random_state=0)
    return model.fit(rng.random((rows, COLUMNS)), rng.random(rows))


def main() -> None:
    """Measure with each kind of tracking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    model = forest(options.megabytes)
    expected = model.predict(ROWS)
    print(f"forest of {options.megabytes} MB, {options.rounds} rounds")
    for kind, tracking in (("sqlite", None), ("memory", MemoryTrackingStore())):
        with tempfile.TemporaryDirectory(
            prefix="brixa-bench-", dir=Path.cwd()
        ) as place:
            registry = ModelRegistry(LocalStorageNode(place), tracking=tracking)
            version = registry.register_model("forest", "regression").version
            registry.save_model("forest", version, model)
            peer = Path(place) / "peer" / "model.joblib"
            peer.parent.mkdir()
            joblib.dump(model, peer)
            print(f" tracking in {kind}")
            measure(registry, Path(place), peer, expected, options.rounds)


def measure(
    registry: ModelRegistry, place: Path, peer: Path, expected: Any, rounds: int
) -> None:
    """Load by turns and print the ratios."""
    (file,) = place.rglob("forest/*/model.joblib")

    def touched(model: Any) -> Any:
        np.testing.assert_array_equal(model.predict(ROWS), expected)
        return model

    def mapped() -> Any:
        return touched(joblib.load(peer, mmap_mode="r"))

    def ours() -> Any:
        return touched(registry.load_model("forest", "latest"))

    sides = {
        "sha256 + joblib": lambda: (sha256_pass([peer]), mapped()),
        "ours, first": ours,
        "joblib": mapped,
        "ours, later": ours,
    }
    ours()  # opens databases and imports
    for cache in ("warm", "cold"):

        def before(side: str, cache: str = cache) -> None:
            if side == "ours, first":
                forget_verified(file.parent)
            if cache == "cold":
                forget_pages(file.parent)
                forget_pages(peer.parent)

        best = take_turns(sides, rounds, before)
        ratio(f"first load, {cache}", best["ours, first"], best["sha256 + joblib"], 1.1)
        ratio(f"later load, {cache}", best["ours, later"], best["joblib"], 1.2)


if __name__ == "__main__":
    main()
