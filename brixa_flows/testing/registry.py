"""What every registry must do, whatever its storage and its tracking backend.

::

    from brixa_flows.testing.registry import RegistryContract

    class TestOnMyBackends(RegistryContract):
        @pytest.fixture
        def registry(self):
            return ModelRegistry(MyNode(...), tracking=MyStore(...))

The storage is new for each test; the tracking backend may hold other models already.
It goes through the public life of versions and asks for the same answers everywhere.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from brixa_flows.errors import (
    ModelNotFoundError,
    ModelNotSavedError,
    StageHolderError,
    StageTransitionError,
    UnmetDependencyError,
    VersionExistsError,
    VersionNotFoundError,
)
from brixa_flows.registry import ModelMetadata, ModelRegistry
from brixa_flows.testing.registry_measurements import RegistryMeasurements
from brixa_flows.testing.registry_races import RegistryRaces
from brixa_flows.testing.registry_refusals import RegistryRefusals

__all__ = ["RegistryContract", "Threshold"]

_JANUARY: dict[str, Any] = {
    "name": "january",
    "digest": "sha256:" + "a" * 64,
    "uri": "s3://data/january.parquet",
    "rows": 99,
    "columns": {"width": "double"},
}
_RECORD: dict[str, Any] = {
    "type": "object",
    "properties": {"width": {"type": "number"}},
    "required": ["width"],
}
_WORDS = (
    "Ünïcode, 日本語, עברית, العربية, 🦊, \u202eturned\u202c, 'quoted' \"twice\"; --"
)
_FACTS: dict[str, Any] = {
    "description": _WORDS + "\n\n" + "long " * 900,
    "tags": {"team": "Ops", "nlp": "", "weiß/a b:c.d-e": _WORDS, "long": "x" * 50_000},
    "hyperparameters": {
        "C": 1.0,
        "layers": [64, 32],
        "note": "y" * 5_000,
        "a=b": True,
        "nested": {"none": None, "fox": "🦊"},
    },
    "input_schema": _RECORD,
    "output_schema": {"type": "integer"},
    "metrics": {"f1": 0.1 + 0.2, "tiny": 5e-324, "huge": -1.7e308, "recall/at 10": 1},
    "custom": {"deep": [{"a": [1, 2.5, None, True]}], "words": _WORDS},
    "owner": "Ann Ünal <ann@example.org>",
    "license": "Apache-2.0",
    "dependencies": ["numpy>=2"],
    "datasets": [_JANUARY],
}


class Threshold:
    """A model of one line, that any process with this package can load."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def predict(self, rows: Iterable[float]) -> list[int]:
        """Whether each number is above the limit."""
        return [int(each > self.limit) for each in rows]


Save = Callable[..., ModelMetadata]


@pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning",
    "ignore::brixa_flows.errors.SchemaBumpWarning",
)
class RegistryContract(RegistryMeasurements, RegistryRaces, RegistryRefusals):
    """Behaviour of a :class:`~brixa_flows.registry.ModelRegistry` on any backends.

    Subclasses give a fixture ``registry``.
    """

    @pytest.fixture
    def name(self) -> str:
        """A model that the tracking backend does not know yet."""
        return f"model-{uuid.uuid4().hex[:12]}"

    @pytest.fixture
    def save(self, registry: ModelRegistry, name: str) -> Save:
        """Register and save a version in one call."""

        def call(version: str | None = None, **facts: Any) -> ModelMetadata:
            number = registry.register_model(
                name, "rules", "pickle", version=version, **facts
            ).version
            return registry.save_model(name, number, Threshold(number.minor))

        return call

    def test_all_that_is_told_of_a_version_is_kept_as_it_was_told(
        self, registry: ModelRegistry, name: str
    ) -> None:
        before = registry.register_model(name, "Règles", "pickle", **_FACTS)
        assert (str(before.version), before.state) == ("1.0.0", "registered")
        saved = registry.save_model(name, "1.0.0", Threshold(0))
        for found in (before, saved, registry.get_metadata(name)):
            for field in _FACTS.keys() - {"dependencies", "datasets"}:
                assert getattr(found, field) == _FACTS[field], field
            assert found.dependencies == {"numpy": ">=2"}
            data = found.lineage.datasets[0]
            assert data.model_dump(exclude={"role"}) == _JANUARY
            assert found.model_type == "Règles"
        assert registry.get_metadata(name) == saved == registry.list_versions(name)[0]
        assert (saved.state, saved.digest is None) == ("ready", False)

    def test_a_version_loads_is_verified_and_never_changes(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        registry.register_model(name, "rules", "pickle")
        with pytest.raises(ModelNotSavedError):
            registry.load_model(name)
        registry.save_model(name, "1.0.0", Threshold(0.5))
        assert registry.load_model(name).predict([0.4, 0.6]) == [0, 1]
        assert registry.verify(name, "1.0.0").recorded
        with pytest.raises(VersionExistsError):
            registry.save_model(name, "1.0.0", Threshold(9))
        with pytest.raises(VersionExistsError):
            save("1.0.0")

    def test_each_kind_of_spec_finds_its_version(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        for version in ("1.9.0", "1.10.0", "2.0.0-rc.1+build.5", "1.10.1"):
            save(version)
        registry.transition(name, "1.9.0", "staging")
        registry.set_alias(name, "eu", "2.0.0-rc.1")
        expected = {
            None: "1.10.1",
            "latest": "1.10.1",
            "^1.9": "1.10.1",
            "~1.9": "1.9.0",
            "staging": "1.9.0",
            "eu": "2.0.0-rc.1+build.5",
            "2.0.0-rc.1": "2.0.0-rc.1+build.5",
        }
        assert {spec: str(registry.resolve(name, spec)) for spec in expected} == (
            expected
        )
        listed = [str(each.version) for each in registry.list_versions(name)]
        assert listed == ["1.9.0", "1.10.0", "1.10.1", "2.0.0-rc.1+build.5"]
        assert [
            str(each.version)
            for each in registry.list_versions(name, constraint=">=1.10")
        ] == ["1.10.0", "1.10.1"]
        assert [
            str(each.version) for each in registry.list_versions(name, stage="staging")
        ] == ["1.9.0"]
        assert registry.list_models() == [name]

    def test_what_does_not_exist_is_told_with_what_does(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        with pytest.raises(ModelNotFoundError):
            registry.load_model(name)
        save()
        for spec in ("3.0.0", "^3", "production"):
            with pytest.raises(VersionNotFoundError, match=r"1\.0\.0"):
                registry.resolve(name, spec)

    def test_an_update_changes_what_is_given(
        self, registry: ModelRegistry, name: str
    ) -> None:
        facts: dict[str, Any] = {
            "tags": {"a": "1", "b": "2"},
            "owner": "ann",
            "custom": {"x": 1},
        }
        registry.register_model(name, "rules", "pickle", **facts)
        for saved in (False, True):
            if saved:
                registry.save_model(name, "1.0.0", Threshold(0))
            tags = {"a": None, "ü": f"{saved}"}
            registry.update(name, "1.0.0", description=_WORDS, tags=tags)
            found = registry.get_metadata(name, "1.0.0")
            assert found.description == _WORDS
            assert found.tags == {"b": "2", "ü": f"{saved}"}
            assert (found.owner, found.custom) == ("ann", {"x": 1})
        registry.update(name, "1.0.0", owner="", description="", custom={"y": "🦊"})
        found = registry.get_metadata(name, "1.0.0")
        assert (found.owner, found.description) == (None, "")
        assert found.custom == {"y": "🦊"}

    def test_stages_have_one_holder_and_a_history(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            save(version)
        began = datetime.now(UTC)
        registry.transition(name, "1.0.0", "production", actor="ann", reason="first")
        between = datetime.now(UTC)
        registry.transition(name, "1.1.0", "staging", actor="bob", reason=_WORDS)
        registry.transition(name, "1.1.0", "production", actor="bob")
        self._shown(registry, name, production="1.1.0")
        registry.rollback(name, actor="cy", reason="worse")
        self._shown(registry, name, production="1.0.0")
        told = [
            (str(each.version), each.source, each.target, each.actor)
            for each in registry.stage_history(name)
        ]
        assert told == [
            ("1.0.0", None, "production", "ann"),
            ("1.1.0", None, "staging", "bob"),
            ("1.0.0", "production", "archived", "bob"),
            ("1.1.0", "staging", "production", "bob"),
            ("1.1.0", "production", "archived", "cy"),
            ("1.0.0", "archived", "production", "cy"),
        ]
        assert registry.stage_history(name)[1].reason == _WORDS
        assert registry.stage_at(name, began).production is None
        assert str(registry.stage_at(name, between).production) == "1.0.0"
        with pytest.raises(StageTransitionError):
            registry.transition(name, "1.1.0", "production")
        registry.transition(name, "1.0.0", "archived")
        self._shown(registry, name)

    def test_a_version_replaces_only_whom_it_was_compared_with(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            save(version)
        registry.transition(name, "1.0.0", "production", replacing="none")
        with pytest.raises(StageHolderError, match=r"1\.0\.0 is there now"):
            registry.transition(name, "1.1.0", "production", replacing="none")
        registry.transition(name, "1.1.0", "production", replacing="1.0.0")
        with pytest.raises(StageHolderError) as caught:
            registry.transition(name, "1.2.0", "production", replacing="1.0.0")
        assert (caught.value.facts["holder"], len(registry.stage_history(name))) == (
            "1.1.0",
            3,
        )
        self._shown(registry, name, production="1.1.0")

    def test_own_aliases_move_and_have_a_history(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        save("1.0.0")
        save("1.1.0")
        registry.set_alias(name, "champion-eu", "1.0.0", actor="ann", reason="best")
        registry.set_alias(name, "other", "1.0.0")
        registry.set_alias(name, "champion-eu", "1.1.0", actor="bob", reason="better")
        self._shown(registry, name, **{"champion-eu": "1.1.0", "other": "1.0.0"})
        registry.set_alias(name, "other", None)
        self._shown(registry, name, **{"champion-eu": "1.1.0"})
        moves = [
            (each.alias, str(each.previous), str(each.version), each.actor)
            for each in registry.alias_history(name)
        ]
        assert moves[0] == ("champion-eu", "None", "1.0.0", "ann")
        assert moves[2] == ("champion-eu", "1.0.0", "1.1.0", "bob")
        assert moves[3][:3] == ("other", "1.0.0", "None")
        assert registry.get_metadata(name, "champion-eu").aliases == ("champion-eu",)

    def test_an_alias_moved_by_hand_is_told(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        save("1.0.0")
        save("1.1.0")
        registry.transition(name, "1.0.0", "production")
        assert registry.check() == []
        other = registry.tracking.get_version(name, "1.1.0")
        assert other is not None
        registry.tracking.set_alias(name, "production", other.backend_version)
        [told] = registry.check()
        assert name in told and "1.1.0 in MLflow" in told
        assert str(registry.resolve(name)) == "1.0.0", "the journal decides"

    def test_a_deleted_version_is_gone_and_its_number_never_used_again(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        save("1.0.0")
        save("1.1.0")
        registry.transition(name, "1.0.0", "production")
        with pytest.raises(StageTransitionError):
            registry.delete_version(name, "1.0.0")
        registry.delete_version(name, "1.1.0", actor="ann", reason="wrong data")
        with pytest.raises(VersionNotFoundError, match="was deleted"):
            registry.load_model(name, "1.1.0")
        with pytest.raises(VersionExistsError):
            save("1.1.0")
        assert str(save().version) == "1.1.1"
        states = {
            str(each.version): each.state for each in registry.list_versions(name)
        }
        assert states == {"1.0.0": "ready", "1.1.0": "deleted", "1.1.1": "ready"}
        found = registry.search(f"name = '{name}'")
        assert [str(each.version) for each in found] == ["1.0.0", "1.1.1"]

    def test_a_dependency_is_checked_when_it_is_resolved(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        tokenizer = f"{name}-tokenizer"
        save(dependencies={tokenizer: "@^2", "numpy": ">=2"})
        with pytest.raises(UnmetDependencyError, match=tokenizer):
            registry.load_model(name)
        registry.register_model(tokenizer, "rules", "pickle", version="2.3.0")
        registry.save_model(tokenizer, "2.3.0", Threshold(0))
        found = registry.resolve_dependencies(name)
        assert {key: str(each) for key, each in found.items()} == {tokenizer: "2.3.0"}
        assert registry.load_model(name).predict([1.0]) == [1]

    def test_lineage_joins_what_went_in_and_what_came_of_it(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        save("1.0.0", datasets=[_JANUARY])
        save("1.1.0", parents=[f"{name}@1.0.0"])
        registry.transition(name, "1.0.0", "production", actor="ann")
        up = registry.lineage(name, "1.1.0").upstream()
        assert {"january (99 rows)", f"{name} 1.0.0"} <= {each.label for each in up}
        graph = registry.lineage()
        [january] = graph.find(str(_JANUARY["digest"]))
        touched = {each.label for each in graph.downstream(january.id)}
        assert {f"{name} 1.0.0", f"{name} 1.1.0"} <= touched

    def test_a_diff_explains_the_bump(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        save(input_schema=_RECORD, metrics={"f1": 0.5}, hyperparameters={"C": 1})
        narrower = {**_RECORD, "properties": {"width": {"type": "integer"}}}
        changed = save(
            input_schema=narrower, metrics={"f1": 0.75}, hyperparameters={"C": 2}
        )
        assert str(changed.version) == "2.0.0"
        diff = registry.diff(name, "1.0.0", "latest")
        assert (diff.bump, diff.metrics[0].change) == ("major", 0.25)
        assert [(each.before, each.after) for each in diff.parameters] == [(1, 2)]

    def test_there_is_nothing_to_recover_in_a_registry_that_is_well(
        self, registry: ModelRegistry, name: str, save: Save
    ) -> None:
        save()
        registry.register_model(name, "rules", "pickle")
        registry.transition(name, "1.0.0", "production")
        assert registry.recover() == []
        assert str(registry.resolve(name)) == "1.0.0"

    @staticmethod
    def _shown(registry: ModelRegistry, name: str, **aliases: str) -> None:
        """What the tracking backend shows is what the journal says."""
        assert registry.tracking.aliases(name) == aliases
        tracked = registry.tracking.list_versions(name)
        stages = {each.version: each.stage or None for each in tracked}
        known = registry.list_versions(name)
        assert stages == {str(each.version): each.stage for each in known}
        assert registry.check() == []
