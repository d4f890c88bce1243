"""A logged model becomes one version, however often and by how many it is adopted."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import (
    InvalidMetadataError,
    TrackingUnavailableError,
    VersionExistsError,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.registry.reading.adoptions import Adoptions
from brixa_flows.registry.writing.registering import Registrar
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking import AdoptableModel
from brixa_flows.tracking.memory_store import MemoryTrackingStore

URI = "runs:/1/model"

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


@pytest.fixture(scope="module")
def logged(
    tmp_path_factory: pytest.TempPathFactory, classifier: LogisticRegression
) -> Path:
    folder = tmp_path_factory.mktemp("logged") / "model"
    mlflow.sklearn.save_model(classifier, folder, pip_requirements=["scikit-learn"])
    return folder


@pytest.fixture(autouse=True)
def offered(tracking: MemoryTrackingStore, logged: Path) -> None:
    for uri in (URI, "runs:/1/again"):
        tracking.offer(AdoptableModel(uri, logged, logged.as_uri(), run_id="1"))


def adopt(registry: ModelRegistry, uri: str = URI, **facts: Any) -> str:
    return str(registry.register_run(uri, name="m", once=True, **facts).version)


def versions(registry: ModelRegistry) -> list[tuple[str, str]]:
    return [(str(v.version), v.state) for v in registry.list_versions("m")]


def test_a_model_that_is_a_version_already_becomes_no_second_one(
    registry: ModelRegistry,
) -> None:
    assert adopt(registry) == adopt(registry) == "1.0.0"
    assert adopt(registry, "runs:/1/again") == "1.0.1"
    assert registry.get_metadata("m", "1.0.0").lineage.model_uri == URI


def test_one_that_was_deleted_may_come_again(registry: ModelRegistry) -> None:
    adopt(registry)
    registry.delete_version("m", "1.0.0")
    assert adopt(registry) == adopt(registry) == "1.0.1"


def test_a_failure_leaves_no_number_behind(
    registry: ModelRegistry,
    tracking: MemoryTrackingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise TrackingUnavailableError(tracking.uri, "away")

    with monkeypatch.context() as patched:
        patched.setattr(tracking, "open_run", fail)
        with pytest.raises(TrackingUnavailableError):
            adopt(registry)
    assert registry.list_models() == []
    assert adopt(registry) == "1.0.0"


def test_what_an_adoption_that_was_killed_had_fetched_is_told_and_removed(
    registry: ModelRegistry,
    storage: LocalStorageNode,
    tracking: MemoryTrackingStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def fetch_and_die(uri: str, folder: Path) -> AdoptableModel:
        (folder / "weights").write_bytes(b"x" * 1000)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("brixa_flows.passing_folders._LOCKED_WITHIN_SECONDS", -1.0)
    with monkeypatch.context() as patched:
        patched.setattr(tracking, "adopt", fetch_and_die)
        child = os.fork()
        if not child:
            adopt(registry)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert [*(tmp_path / "tmp").iterdir()] == []
    with storage.staging() as living:
        [found] = registry.collect_garbage()
        assert (found.kind, found.size_bytes) == ("staging", 1000)
        assert [each.action for each in registry.recover()] == ["staging removed"]
        assert [*(storage.root / ".brixa" / "tmp").iterdir()] == [living]
    assert adopt(registry) == "1.0.0"


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"target": "half \ud800"}, "has the character"),
        ({"policy": 3}, "policy: Input should be a valid string"),
        ({"evaluations": [{"name": "a"}]}, "evaluations.0.uri: Field required"),
        ({"evaluations": [{"name": "a", "uri": float("nan")}]}, "nan is not JSON"),
        ({"digest": "x"}, "has 'digest', which brixa.model.registered does not carry"),
    ],
)
def test_what_the_event_of_a_version_could_not_carry_is_refused_before_its_number(
    registry: ModelRegistry, facts: dict[str, Any], fault: str
) -> None:
    with pytest.raises(InvalidMetadataError, match=fault):
        adopt(registry, event_facts=facts)
    assert registry.list_models() == []


def test_who_comes_while_another_adopts_it_is_told_and_takes_no_number(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_next = Registrar._take_next

    def meanwhile(registrar: Registrar, *args: Any) -> Any:
        monkeypatch.setattr(Registrar, "_take_next", take_next)
        adopt(registry)
        return take_next(registrar, *args)

    monkeypatch.setattr(Registrar, "_take_next", meanwhile)
    with pytest.raises(VersionExistsError, match="being made of runs:/1/model"):
        adopt(registry)
    assert versions(registry) == [("1.0.0", "ready")]


def test_who_takes_an_abandoned_save_up_keeps_it_from_its_first_owner(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Adoptions.keep

    def meanwhile(adoptions: Adoptions, *args: Any) -> None:
        monkeypatch.setattr(Adoptions, "keep", keep)
        assert adopt(registry) == "1.0.0"  # finds the claim of the one below
        keep(adoptions, *args)

    monkeypatch.setattr(Adoptions, "keep", meanwhile)
    with pytest.raises(VersionExistsError, match="saved already"):
        adopt(registry)
    assert versions(registry) == [("1.0.0", "ready")]
