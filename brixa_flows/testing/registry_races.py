"""The part of the registry's contract that is about many writers and many versions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from brixa_flows.errors import StageTransitionError, VersionExistsError
from brixa_flows.registry import ModelRegistry

__all__ = ["RegistryRaces"]


class RegistryRaces:
    """Threads that write at once, and what a search finds afterwards."""

    writers = 16
    """How many threads begin together; they share one registry."""

    def test_threads_that_register_at_once_get_numbers_of_their_own(
        self, registry: ModelRegistry, name: str
    ) -> None:
        def register(number: int) -> str:
            try:
                registry.register_model(name, "t", "pickle", version="7.0.0")
            except VersionExistsError:
                pass
            else:
                won.append(number)
            return str(registry.register_model(f"{name}-next", "t").version)

        won: list[int] = []
        numbers = _at_once(self.writers, register)
        assert len(won) == 1
        assert sorted(numbers, key=lambda text: int(text.rpartition(".")[2])) == [
            f"1.0.{patch}" for patch in range(self.writers)
        ]

    def test_threads_that_save_and_promote_at_once_leave_one_holder(
        self, registry: ModelRegistry, name: str
    ) -> None:
        def promote(number: int) -> None:
            version = registry.register_model(name, "t", "pickle").version
            registry.save_model(name, version, {"rule": number})
            registry.log_metrics(name, version, {"rule": number})
            registry.transition(name, version, "production", actor=str(number))

        _at_once(self.writers, promote)
        history = registry.stage_history(name)
        assert [each.number for each in history] == list(range(1, 2 * self.writers))
        [holder] = registry.list_versions(name, stage="production")
        assert history[-1].version == holder.version
        assert registry.tracking.aliases(name) == {"production": str(holder.version)}
        assert registry.check() == [] == registry.recover()
        assert {each.metrics["rule"] for each in registry.list_versions(name)} == set(
            map(float, range(self.writers))
        )

    def test_of_threads_that_replace_the_same_one_exactly_one_does(
        self, registry: ModelRegistry, name: str
    ) -> None:
        for _ in range(3):
            version = registry.register_model(name, "t", "pickle").version
            registry.save_model(name, version, {"rule": str(version)})
        registry.transition(name, "1.0.0", "production")

        def replace(number: int) -> bool:
            version = f"1.0.{1 + number % 2}"
            try:
                registry.transition(name, version, "production", replacing="1.0.0")
            except StageTransitionError:
                return False
            return True

        assert _at_once(self.writers, replace).count(True) == 1

    def test_a_search_gives_the_answer_of_all_other_backends(
        self, registry: ModelRegistry, name: str
    ) -> None:
        for version, f1 in (("1.9.0", 0.1), ("1.10.0", 0.9)):
            registry.register_model(
                name,
                "rules",
                "pickle",
                description="erklärt",
                tags={"team": "Fraud"},
                metrics={"f1": f1},
                owner="ann",
                hyperparameters={"depth": 3},
                version=version,
            )
            registry.save_model(name, version, {"rule": version})
        registry.transition(name, "1.10.0", "production")
        registry.register_model(name, "rules")
        for asked, expected in _ASKED.items():
            page = registry.search(f"name = '{name}' and {asked}")
            assert [str(each.version) for each in page] == expected, asked
        found: list[str] = []
        token: str | None = None
        while not found or token is not None:
            page = registry.search(
                f"name = '{name}'",
                order_by=["metrics.f1 DESC"],
                max_results=1,
                page_token=token,
            )
            found += [str(each.version) for each in page]
            token = page.token
        assert found == ["1.10.0", "1.9.0", "1.10.1"]


_ASKED = {
    "metrics.f1 >= 0.9 and tags.team = 'Fraud'": ["1.10.0"],
    "tags.team ILIKE 'fr%'": ["1.9.0", "1.10.0"],
    "tags.team LIKE 'fr%'": [],
    "tags.team IS NULL": ["1.10.1"],
    "owner = 'ann' and description LIKE '%\u00e4%'": ["1.9.0", "1.10.0"],
    "version > '1.9.0'": ["1.10.0", "1.10.1"],
    "stage = 'production' and state = 'ready'": ["1.10.0"],
    "framework = 'pickle'": ["1.9.0", "1.10.0"],
    "params.depth = '3'": ["1.9.0", "1.10.0"],
}


def _at_once(writers: int, act: Callable[[int], Any]) -> list[Any]:
    barrier = threading.Barrier(writers)

    def run(number: int) -> Any:
        barrier.wait(timeout=30)
        return act(number)

    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(run, range(writers)))
