"""What every tracking store must do, as a suite that others can run too.

::

    from brixa_flows.testing.tracking import TrackingStoreContract

    class TestMyStore(TrackingStoreContract):
        @pytest.fixture
        def store(self):
            return MyStore(...)         # may hold other models already
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brixa_flows.errors import InvalidMetadataError, TrackingError
from brixa_flows.tracking import (
    TrackedDataset,
    TrackedMeasurement,
    TrackedVersion,
    TrackingStore,
    tags,
)

__all__ = ["TrackingStoreContract"]

_JANUARY = TrackedDataset("january", "sha256:" + "a" * 64, "file:///january.csv", 99)
_MARCH = TrackedDataset("march", "sha256:" + "b" * 64, "file:///m", 9, "evaluation")
_THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
_DIGEST = "sha256:" + "1" * 64
_OTHER = "sha256:" + "2" * 64


class TrackingStoreContract:
    """Behaviour of a :class:`~brixa_flows.tracking.base.TrackingStore`.

    Subclasses give a fixture ``store``.
    """

    @pytest.fixture
    def name(self) -> str:
        """A model that the store does not know yet."""
        return f"model-{uuid.uuid4().hex[:12]}"

    @pytest.fixture
    def files(self, tmp_path: Path) -> str:
        """Source of a version: a local folder with a file."""
        folder = tmp_path / "version"
        folder.mkdir()
        (folder / "MLmodel").write_text("flavors: {}\n")
        return folder.as_uri()

    def run(
        self,
        store: TrackingStore,
        name: str,
        version: str,
        digest: str | None = _DIGEST,
    ) -> str:
        """Open the version's own run."""
        return store.open_run(
            name,
            version,
            digest=digest,
            params={"depth": 3},
            measured=[TrackedMeasurement({"f1": 0.5}, _THEN)],
            datasets=[_JANUARY],
        )

    def create(
        self,
        store: TrackingStore,
        name: str,
        version: str,
        source: str,
        **given: Any,
    ) -> TrackedVersion:
        """A version with its run."""
        run_id = self.run(store, name, version)
        return store.create_version(
            name, version, source=source, run_id=run_id, **given
        )

    def test_it_answers_and_says_where_it_is(self, store: TrackingStore) -> None:
        store.ping()
        assert store.uri

    def test_an_unknown_model_is_known_to_nobody(
        self, store: TrackingStore, name: str
    ) -> None:
        assert store.recorded_digest(name, "1.0.0") is None
        assert store.get_version(name, "1.0.0") is None
        assert store.list_versions(name) == []
        assert store.newest_numbers(name) == []
        assert store.aliases(name) == {}

    def test_the_digest_is_recorded_with_the_run(
        self, store: TrackingStore, name: str
    ) -> None:
        run_id = self.run(store, name, "1.0.0")
        assert run_id
        assert store.recorded_digest(name, "1.0.0") == _DIGEST
        assert store.recorded_digest(name, "1.0.1") is None

    def test_a_run_that_is_named_counts_only_if_it_is_the_versions_own(
        self, store: TrackingStore, name: str
    ) -> None:
        own = self.run(store, name, "1.0.0")
        later = self.run(store, name, "1.0.1", _OTHER)
        foreign = self.run(store, f"{name}-x", "1.0.0", _OTHER)
        for run_id in (own, later, foreign, "0" * 32, "../x", ""):
            assert store.recorded_digest(name, "1.0.0", run_id=run_id) == _DIGEST
            assert store.recorded_digest(name, "1.0.2", run_id=run_id) is None
        replaced = self.run(store, name, "1.0.0", _OTHER)
        assert replaced != own
        assert store.recorded_digest(name, "1.0.0", run_id=own) == _OTHER

    def test_opening_a_run_again_gives_the_same_run(
        self, store: TrackingStore, name: str
    ) -> None:
        assert self.run(store, name, "1.0.0") == self.run(store, name, "1.0.0")

    def test_a_run_whose_version_never_got_visible_is_replaced(
        self, store: TrackingStore, name: str
    ) -> None:
        first = self.run(store, name, "1.0.0")
        second = self.run(store, name, "1.0.0", _OTHER)
        assert second != first
        assert store.recorded_digest(name, "1.0.0") == _OTHER

    def test_a_run_that_was_replaced_makes_no_version(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        first = self.run(store, name, "1.0.0")
        self.run(store, name, "1.0.0", _OTHER)
        with pytest.raises(TrackingError, match=first):
            store.create_version(name, "1.0.0", source=files, run_id=first)
        assert store.get_version(name, "1.0.0") is None

    def test_the_digest_of_a_visible_version_stands(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        self.create(store, name, "1.0.0", files)
        with pytest.raises(TrackingError, match="never overwritten"):
            self.run(store, name, "1.0.0", _OTHER)
        assert store.recorded_digest(name, "1.0.0") == _DIGEST

    def test_a_run_that_nobody_vouches_for_records_no_digest_until_somebody_does(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        run_id = self.run(store, name, "1.0.0", None)
        assert store.recorded_digest(name, "1.0.0") is None
        assert self.run(store, name, "1.0.0", None) == run_id
        created = store.create_version(name, "1.0.0", source=files, run_id=run_id)
        assert (created.digest, created.run_id) == (None, run_id)
        assert self.run(store, name, "1.0.0", _OTHER) == run_id
        assert store.recorded_digest(name, "1.0.0") == _OTHER
        for seen in (store.get_version(name, "1.0.0"), *store.list_versions(name)):
            assert seen is not None
            assert seen.digest == _OTHER
        with pytest.raises(TrackingError, match="never overwritten"):
            self.run(store, name, "1.0.0")

    def test_a_recorded_digest_stands_where_nobody_vouches_again(
        self, store: TrackingStore, name: str
    ) -> None:
        assert self.run(store, name, "1.0.0") == self.run(store, name, "1.0.0", None)
        assert store.recorded_digest(name, "1.0.0") == _DIGEST

    def test_a_created_version_is_read_back_whole(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        created = self.create(
            store,
            name,
            "1.0.0-rc.1+build.5",
            files,
            description="first try",
            tags={"team": "ops", "nlp": ""},
            owner="ada",
            custom={"budget": [1, 2.5, None]},
            facts={tags.FRAMEWORK: "sklearn", tags.STAGE: "staging"},
        )
        assert isinstance(created.backend_version, str)
        assert store.get_version(name, "1.0.0-rc.1+build.5") == created
        assert store.list_versions(name) == [created]
        assert store.newest_numbers(name) == [created.version]
        assert (created.name, created.version) == (name, "1.0.0-rc.1+build.5")
        assert created.digest == _DIGEST
        assert created.description == "first try"
        assert created.tags == {"team": "ops", "nlp": ""}
        assert created.metrics == {"f1": 0.5}
        assert created.owner == "ada"
        assert created.custom == {"budget": [1, 2.5, None]}
        assert created.facts == {tags.FRAMEWORK: "sklearn"}
        assert created.stage == "staging"

    def test_creating_a_version_twice_makes_one(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        first = self.create(store, name, "1.0.0", files)
        assert self.create(store, name, "1.0.0", files) == first
        assert len(store.list_versions(name)) == 1

    def test_a_cached_number_that_is_wrong_does_no_harm(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        first = self.create(store, name, "1.0.0", files)
        second = self.create(store, name, "1.1.0", files)
        for number in (first.backend_version, "99", second.backend_version):
            found = store.get_version(name, "1.1.0", backend_version=number)
            assert found == second

    def test_an_update_changes_what_is_given_and_leaves_the_rest(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        tracked = self.create(
            store,
            name,
            "1.0.0",
            files,
            description="old",
            tags={"a": "1", "b": "2"},
            owner="ada",
            custom={"x": 1},
        )
        store.update_version(
            tracked, tags={"a": None, "c": "3"}, stage="staging", owner="grace"
        )
        store.update_version(
            tracked, description="new", custom={"y": 2}, facts={tags.STATE: "ready"}
        )
        seen = store.get_version(name, "1.0.0")
        assert seen is not None
        assert seen.tags == {"b": "2", "c": "3"}
        assert (seen.stage, seen.owner, seen.description) == ("staging", "grace", "new")
        assert seen.custom == {"y": 2}
        assert seen.facts == {tags.STATE: "ready"}

    def test_our_own_tags_are_told_of_the_version_and_its_run_and_can_be_set(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        kind = {tags.MODEL_TYPE: "wrong", tags.FRAMEWORK: "sklearn"}
        tracked = self.create(store, name, "1.0.0", files, facts=kind)
        own = {tags.MODEL: name, tags.VERSION: "1.0.0", tags.DIGEST: _DIGEST}
        assert (tracked.digest_shown, tracked.run_facts) == (_DIGEST, own)
        store.update_version(
            tracked,
            facts={tags.MODEL_TYPE: None, tags.DIGEST: _OTHER},
            run_facts={tags.CODE_COMMIT: "a1", tags.MODEL: None},
        )
        for seen in (store.get_version(name, "1.0.0"), *store.list_versions(name)):
            assert seen is not None
            assert seen.facts == {tags.FRAMEWORK: "sklearn"}
            assert (seen.digest, seen.digest_shown) == (_DIGEST, _OTHER)
            assert seen.run_facts is not None
            assert seen.run_facts[tags.CODE_COMMIT] == "a1"
            assert tags.MODEL not in seen.run_facts

    def test_a_version_that_was_removed_is_made_anew_with_its_run(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        tracked = self.create(store, name, "1.0.0", files)
        store.set_alias(name, "eu", tracked.backend_version)
        store.remove_version(tracked)
        assert store.get_version(name, "1.0.0") is None
        assert (store.list_versions(name), store.aliases(name)) == ([], {})
        anew = self.create(store, name, "1.0.0", files)
        assert store.list_versions(name) == [anew]
        assert (anew.run_id, anew.digest) == (tracked.run_id, _DIGEST)

    def test_description_owner_and_stage_can_be_cleared(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        tracked = self.create(
            store, name, "1.0.0", files, description="old", owner="ada"
        )
        for _ in range(2):  # also what is cleared already
            store.update_version(tracked, description="", owner="", stage="")
            seen = store.get_version(name, "1.0.0")
            assert seen is not None
            assert (seen.description, seen.owner, seen.stage) == ("", None, None)

    @pytest.mark.parametrize(
        "wrong", [{"brixa.stage": "x"}, {"mlflow.x": "y"}, {"a=b": "c"}, {"": "c"}]
    )
    def test_reserved_and_malformed_tags_are_refused(
        self, store: TrackingStore, name: str, files: str, wrong: Mapping[str, str]
    ) -> None:
        run_id = self.run(store, name, "1.0.0")
        with pytest.raises(InvalidMetadataError):
            store.create_version(name, "1.0.0", source=files, run_id=run_id, tags=wrong)
        assert store.get_version(name, "1.0.0") is None

    def test_later_metrics_are_the_latest_whatever_dataset_they_are_of(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        created = self.create(store, name, "1.0.0", files)
        assert created.run_id is not None
        store.log_metrics(created.run_id, {"auc": 0.75})
        store.log_metrics(created.run_id, {"f1": 0.25}, _MARCH)
        store.log_metrics(created.run_id, {"auc": 0.5}, _MARCH)
        seen = store.get_version(name, "1.0.0")
        assert seen is not None
        assert seen.metrics == {"f1": 0.25, "auc": 0.5}

    def test_the_latest_metric_is_the_one_of_the_latest_moment(
        self, store: TrackingStore, name: str
    ) -> None:
        measured = [
            TrackedMeasurement({"f1": 0.25}, _THEN),
            TrackedMeasurement({"f1": 0.75}, _THEN + timedelta(days=3), _MARCH),
            TrackedMeasurement({"f1": 0.5}, _THEN + timedelta(days=2)),
        ]
        run_id = store.open_run(
            name,
            "1.0.0",
            digest=None,
            params={},
            measured=measured,
            at=_THEN,
        )
        created = store.create_version(
            name, "1.0.0", source="s3://bucket/m", run_id=run_id
        )
        assert (created.metrics, created.run_at) == ({"f1": 0.75}, _THEN)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_metric_that_is_no_finite_number_is_refused(
        self, store: TrackingStore, name: str, value: float
    ) -> None:
        run_id = self.run(store, name, "1.0.0")
        with pytest.raises(InvalidMetadataError, match="auc"):
            store.log_metrics(run_id, {"auc": value})

    def test_an_alias_moves_and_goes(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        first = self.create(store, name, "1.0.0", files)
        second = self.create(store, name, "2.0.0", files)
        store.set_alias(name, "production", first.backend_version)
        store.set_alias(name, "champion-eu", first.backend_version)
        store.set_alias(name, "production", second.backend_version)
        assert store.aliases(name) == {"production": "2.0.0", "champion-eu": "1.0.0"}
        store.set_alias(name, "champion-eu", None)
        store.set_alias(name, "champion-eu", None)
        assert store.aliases(name) == {"production": "2.0.0"}

    def test_an_alias_of_no_version_is_refused(
        self, store: TrackingStore, name: str, files: str
    ) -> None:
        self.create(store, name, "1.0.0", files)
        with pytest.raises(TrackingError):
            store.set_alias(name, "production", "42")

    def test_a_report_is_kept_beside_the_run(
        self, store: TrackingStore, name: str, tmp_path: Path
    ) -> None:
        report = tmp_path / "report.md"
        report.write_text("# fine\n")
        store.log_artifact(self.run(store, name, "1.0.0"), report, "evaluation")

    def test_what_is_not_there_is_an_error_that_names_the_backend(
        self, store: TrackingStore, tmp_path: Path
    ) -> None:
        for call in (
            lambda: store.log_metrics("0" * 32, {"f1": 1.0}),
            lambda: store.adopt(f"runs:/{'0' * 32}/model", tmp_path),
            lambda: store.logged_models("nowhere", _THEN, _THEN),
        ):
            with pytest.raises(TrackingError) as caught:
                call()
            assert "\n" not in str(caught.value)
            assert store.uri in str(caught.value)
