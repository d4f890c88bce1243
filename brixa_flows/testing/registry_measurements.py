"""The part of the registry's contract that is about metrics and their data."""

from __future__ import annotations

from typing import Any

from brixa_flows.registry import ModelRegistry

__all__ = ["RegistryMeasurements"]

_MARCH: dict[str, Any] = {
    "name": "march",
    "digest": "sha256:" + "b" * 64,
    "role": "evaluation",
}
_MAY = {**_MARCH, "name": "may", "digest": "sha256:" + "c" * 64}


class RegistryMeasurements:
    """Metrics, on which data they are, and what is found by that data."""

    def test_metrics_are_tied_to_their_data_before_and_after_the_save(
        self, registry: ModelRegistry, name: str
    ) -> None:
        registry.register_model(name, "rules", "pickle", metrics={"f1": 0.1})
        registry.log_metrics(name, "1.0.0", {"f1": 0.2, "auc": 0.5}, _MARCH)
        registry.save_model(name, "1.0.0", ["rule"])
        assert registry.get_metadata(name).metrics == {"f1": 0.2, "auc": 0.5}
        registry.log_metrics(name, "1.0.0", {"auc": 0.75}, _MAY)
        registry.log_metrics(name, "1.0.0", {"auc": 0.5}, _MARCH)
        registry.log_metrics(name, "1.0.0", {"rows": 7})
        expected = {"f1": 0.2, "auc": 0.5, "rows": 7.0}
        assert registry.get_metadata(name).metrics == expected
        registry.log_report(name, "1.0.0", "Bericht ü.md", "# fine\n")
        registry.record_evaluation(name, "1.0.0", {"f1": 0.2, "on": "march"})
        assert registry.evaluations(name, "1.0.0")[-1]["on"] == "march"

    def test_data_without_a_digest_is_data_as_well(
        self, registry: ModelRegistry, name: str
    ) -> None:
        april = {"name": "april", "uri": "april.parquet"}
        march = {"name": "march", "uri": "march.parquet", "role": "evaluation"}
        for version in ("1.0.0", "1.1.0"):
            registry.register_model(
                name, "rules", "pickle", version=version, datasets=[april]
            )
            # Before the save it is replayed then, as a rebuild replays it.
            registry.log_metrics(name, version, {"f1": 0.5}, march)
            registry.save_model(name, version, ["rule"])
        moved = {**march, "uri": "moved.parquet"}
        for _ in range(2):
            registry.log_metrics(name, "1.1.0", {"f1": 0.75}, moved)
        for data, found in (("april", 2), ("march", 2), ("may", 0)):
            told = registry.search(f"name = '{name}' and dataset.name = '{data}'")
            assert len(told) == found, data
        assert registry.get_metadata(name).metrics == {"f1": 0.75}
        assert registry.get_metadata(name).lineage.datasets[0].digest == ""
        diff = registry.diff(name, "1.0.0", "1.1.0")
        assert [(each.name, each.before, each.after) for each in diff.datasets] == [
            ("evaluation march", "march.parquet", "moved.parquet")
        ]
