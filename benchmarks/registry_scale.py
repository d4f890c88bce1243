"""A registry of thousands of versions: against MLflow's searches, and against a small one.

    python benchmarks/registry_scale.py                    # some minutes
    python benchmarks/registry_scale.py --versions 2000 --models 20

One model has 10,000 versions (four majors, so that ``^1`` is not the last quarter),
another 100, and 200 models have 20 each, all in one registry on one sqlite database.
How they get there is told in ``_scale.py``. The registry object is warm: what it asks
has been asked before, more than two seconds ago. Ours and the peer take turns; the best
round of each counts. A peer is an MlflowClient on the same database:

- ``resolve("^1")`` and ``get_metadata`` against the search for the one version that has
  a tag, by name and tag; once more with the facts touched that MLflow decides;
- ``list_versions`` against the search for all versions of the model, in pages of 1,000
  or in one of 100,000, whichever is faster; once more with those facts touched;
- registering, and promoting until ``get_model_version_by_alias`` gives the new version,
  among 10,000 against the same among 100.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from _files import ratio, take_turns
from _scale import grow, register, small_model
from mlflow import MlflowClient

from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode

MAJORS = 4
SETTLED_SECONDS = 2.5
Side = Callable[[], Any]


def numbers(versions: int) -> list[str]:
    """That many version numbers, in majors of the same size, fifty patches a minor."""
    a_major = max(1, versions // MAJORS)
    return [
        f"{1 + place // a_major}.{place % a_major // 50}.{place % a_major % 50}"
        for place in range(versions)
    ]


def main() -> None:
    """Grow a registry and measure what is asked of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="brixa-bench-", dir=Path.cwd()) as place:
        registry = ModelRegistry(LocalStorageNode(place))
        start = time.perf_counter()
        grow(registry, "large", numbers(options.versions))
        grow(registry, "small", numbers(100))
        others = [f"model-{number:03}" for number in range(options.models)]
        for name in others:
            grow(registry, name, numbers(20))
        print(f"grown in {time.perf_counter() - start:.0f} s")
        database = Path(place) / registry.layout.meta_prefix / "mlflow.db"
        client = MlflowClient(f"sqlite:///{database}")
        for name, title in (
            ("large", f"one model of {options.versions:,} versions"),
            (others[-1], f"one of {options.models} models of 20 versions"),
        ):
            print(title)
            measure_questions(registry, client, name, options.rounds)
            measure_listing(registry, client, name)
        print(f"among {options.versions:,} versions against among 100")
        measure_registering(registry, options.rounds)
        measure_promoting(registry, client, options.rounds)


def measure_questions(
    registry: ModelRegistry, client: MlflowClient, name: str, rounds: int
) -> None:
    """Ask for one version."""
    warm(registry, name)
    version = str(registry.resolve(name, "^1"))
    wanted = f"name = '{name}' and tags.`brixa.version` = '{version}'"

    def search() -> Any:
        (found,) = client.search_model_versions(wanted)
        return found

    def with_facts() -> Any:
        known = registry.get_metadata(name, "^1")
        return known.description, known.metrics

    best = take_turns(
        {
            "tag search": search,
            "resolve": lambda: registry.resolve(name, "^1"),
            "get_metadata": lambda: registry.get_metadata(name, "^1"),
            "with MLflow's facts": with_facts,
        },
        rounds,
    )
    peers = best["tag search"]
    ratio("resolve(^1), tag search", best["resolve"], peers, 0.2)
    ratio("get_metadata(^1), tag search", best["get_metadata"], peers, 0.2)
    ratio("  and MLflow's facts touched", best["with MLflow's facts"], peers)


def measure_listing(registry: ModelRegistry, client: MlflowClient, name: str) -> None:
    """List all versions of a model."""
    warm(registry, name)
    expected = len(registry.list_versions(name))

    def search(page: int) -> None:
        found, token = 0, None
        while True:
            some = client.search_model_versions(
                f"name = '{name}'", max_results=page, page_token=token
            )
            found, token = found + len(some), some.token
            if not token:
                assert found == expected
                return

    def touched() -> Any:
        return [each.metrics["f1"] for each in registry.list_versions(name)]

    best = take_turns(
        {
            "pages": lambda: search(1000),
            "one page": lambda: search(100_000),
            "list": lambda: registry.list_versions(name),
            "touched": touched,
        },
        2,
    )
    peers = min(best["pages"], best["one page"])
    ratio("list_versions, search of all", best["list"], peers, 0.2)
    ratio("  and MLflow's facts touched", best["touched"], peers)


def warm(registry: ModelRegistry, name: str) -> None:
    """Ask once, let what was written settle, ask again."""
    registry.list_versions(name)
    time.sleep(SETTLED_SECONDS)
    registry.list_versions(name)


def measure_registering(registry: ModelRegistry, rounds: int) -> None:
    """Take the next number; and save a model under it."""
    model = small_model()

    def both(name: str) -> None:
        registry.save_model(name, register(registry, name), model)

    for name in ("large", "small"):
        both(name)
        warm(registry, name)
    best = take_turns(
        {
            "large": lambda: register(registry, "large"),
            "small": lambda: register(registry, "small"),
            "large, saved": lambda: both("large"),
            "small, saved": lambda: both("small"),
        },
        rounds,
    )
    ratio("register_model", best["large"], best["small"], 1.5)
    ratio("register_model and save_model", best["large, saved"], best["small, saved"])


def measure_promoting(
    registry: ModelRegistry, client: MlflowClient, rounds: int
) -> None:
    """Move one version after the other to production, until MLflow's alias is there."""

    def promoting(name: str) -> Side:
        waiting: Iterator[int] = count()
        ready = [
            each.version for each in registry.list_versions(name) if each.stage is None
        ]

        def promote() -> None:
            version = str(ready[next(waiting)])
            registry.transition(name, version, "production", reason="benchmark")
            while True:
                found = client.get_model_version_by_alias(name, "production")
                if found.tags["brixa.version"] == version:
                    return

        return promote

    sides = {name: promoting(name) for name in ("large", "small")}
    for name, promote in sides.items():
        promote()
        warm(registry, name)
    best = take_turns(sides, rounds)
    ratio("promote, until the alias shows it", best["large"], best["small"], 2.0)


if __name__ == "__main__":
    main()
