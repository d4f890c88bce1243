"""Hostile bytes in every place of a version, through every door to it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from hostile_content import CONTENT, forge, refused
from sklearn.linear_model import LogisticRegression

from brixa_flows.cli import main
from brixa_flows.deployment import ModelDeployer
from brixa_flows.errors import BrixaError, DamagedArtifactError, UntrustedArtifactError
from brixa_flows.evaluation import ModelEvaluator
from brixa_flows.prediction import ModelPredictor
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

NAME = "delays"
FRAME = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0)[::-1] % 7})
LABELS = (FRAME["a"] > 19).astype(int)
PLACES = (
    "model.joblib",
    "config.json",
    "MLmodel",
    "README.md",
    "lineage.json",
    "drift_profile.parquet",
    "input_example.json",
    "serving_input_example.json",
    "requirements.txt",
    "python_env.yaml",
)
ADDED = (
    "model.pkl",
    "model/pytorch_model.bin",
    "model.safetensors",
    "sitecustomize.py",
    "model.joblib_01.npy",
    ".hidden",
    "registered_model_meta/evil.pkl",
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory, mlflow_template_db):
    """A storage with two versions of a model, on a real MLflow database."""
    root = tmp_path_factory.mktemp("hostile")
    (root / "models" / "_meta").mkdir(parents=True)
    shutil.copy(mlflow_template_db, root / "models" / "_meta" / "mlflow.db")
    registry = ModelRegistry(LocalStorageNode(root))
    for number in (1, 2):
        model = LogisticRegression(C=number).fit(FRAME, LABELS)
        made = registry.register_model(
            NAME, "classification", "sklearn", version=f"{number}.0.0"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            registry.save_model(NAME, made.version, model, FRAME, reference=FRAME)
    return root


@pytest.fixture
def root(pristine):
    """The same storage, whose first version is whole again after each test."""
    version = pristine / "models" / NAME / "1.0.0"
    kept = pristine.parent / f"{pristine.name}-kept"
    if not kept.exists():
        shutil.copytree(pristine / "models" / NAME, kept)
    yield pristine
    shutil.rmtree(version.parent)
    shutil.copytree(kept, version.parent)


@pytest.fixture
def version(root):
    return root / "models" / NAME / "1.0.0"


@pytest.fixture
def registry(root):
    return ModelRegistry(LocalStorageNode(root))


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "the-code-ran"
    yield path
    assert not path.exists(), "stored code ran"


def is_unharmed(registry: ModelRegistry) -> bool:
    """Everything but the one version works."""
    known = [str(each.version) for each in registry.list_versions(NAME)]
    return "2.0.0" in known and registry.load_model(NAME, "2.0.0").C == 2


@pytest.mark.parametrize("content", ["pickle", "joblib", "npy of objects"])
def test_the_content_of_these_tests_is_hostile_indeed(content, tmp_path):
    made = CONTENT[content](tmp_path / "ran")
    parse = {
        "pickle": pickle.loads,
        "joblib": lambda data: joblib.load(io.BytesIO(data)),
        "npy of objects": lambda data: np.load(io.BytesIO(data), allow_pickle=True),
    }[content]
    parse(made)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", [*PLACES, *ADDED])
def test_hostile_bytes_are_refused_in_every_place_by_its_name(
    place, version, registry, canary
):
    path = version / place
    path.parent.mkdir(exist_ok=True)
    for make in CONTENT.values():
        path.write_bytes(make(canary))
        with refused(canary, match=place.split("/")[0]):
            registry.load_model(NAME, "1.0.0")
    with pytest.raises(DamagedArtifactError):
        registry.verify(NAME, "1.0.0")
    assert is_unharmed(registry)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _flip_and_hide(path: Path) -> None:
    """In place, of the same size, with the old times."""
    facts = path.stat()
    _flip(path)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _swap(path: Path) -> None:
    shutil.copy(path.parents[1] / "2.0.0" / path.name, path)


def _link(path: Path) -> None:
    target = path.parents[2] / path.name
    shutil.move(path, target)
    path.symlink_to(target)


def _link_hard_to_another(path: Path) -> None:
    target = path.parents[2] / f"hard-{path.name}"
    target.write_bytes(path.read_bytes() + b"\n")
    path.unlink()
    os.link(target, path)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("place", ["model.joblib", "drift_profile.parquet", "MLmodel"])
@pytest.mark.parametrize(
    "tamper",
    [
        _flip,
        _flip_and_hide,
        _truncate,
        _link,
        _link_hard_to_another,
        _pipe,
        _folder,
        Path.unlink,
    ],
)
def test_a_file_that_is_not_the_saved_one_is_refused_by_its_name(
    place, tamper, version, registry
):
    assert registry.load_model(NAME, "1.0.0").C == 1  # remembered as verified
    tamper(version / place)
    with pytest.raises(BrixaError, match=place):  # storage itself refuses links
        registry.load_model(NAME, "1.0.0")
    assert is_unharmed(registry)


@pytest.mark.parametrize("place", ["model.joblib", "config.json", "MLmodel"])
def test_a_file_of_another_version_is_refused(place, version, registry):
    _swap(version / place)
    with pytest.raises(DamagedArtifactError, match=place):
        registry.load_model(NAME, "1.0.0")
    assert is_unharmed(registry)


def test_a_whole_version_in_the_place_of_another_is_refused(version, registry):
    shutil.rmtree(version)
    shutil.copytree(version.with_name("2.0.0"), version)
    with pytest.raises(DamagedArtifactError, match="config.json"):
        registry.load_model(NAME, "1.0.0")


def test_a_linked_version_directory_is_refused(version, registry):
    elsewhere = version.parents[2] / "elsewhere"
    shutil.move(version, elsewhere)
    version.symlink_to(elsewhere)
    try:
        with refused(elsewhere / "never"):
            registry.load_model(NAME, "1.0.0")
    finally:
        version.unlink()
        shutil.rmtree(elsewhere)
        version.mkdir()


def _doors(registry, root, monkeypatch, capsys):
    """Every way to the files of a version; each must raise or say no."""
    import mlflow

    rows = FRAME.assign(late=LABELS)

    def command(*arguments: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["--storage", str(root), *arguments])
        said = capsys.readouterr()
        if ended.value.code:
            raise DamagedArtifactError("cli", said.err, "was refused")

    def by_mlflow() -> None:
        database = root / "models" / "_meta" / "mlflow.db"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
        mlflow.set_tracking_uri(f"sqlite:///{database}")
        mlflow.pyfunc.load_model(f"models:/{NAME}/1")

    evaluator = ModelEvaluator(registry)
    return {
        "load_model": lambda: registry.load_model(NAME, "1.0.0"),
        "load_model that trusts": lambda: registry.load_model(
            NAME, "1.0.0", trust="code"
        ),
        "open_version": lambda: registry.open_version(NAME, "1.0.0"),
        "verify": lambda: registry.verify(NAME, "1.0.0"),
        "profile": lambda: registry.reference_profile_path(NAME, "1.0.0"),
        "predictor": lambda: ModelPredictor.from_registry(registry, NAME, "1.0.0"),
        "evaluator": lambda: evaluator.evaluate(
            NAME, "1.0.0", dataset=rows, target="late", metrics=["f1"]
        ),
        "brixa model verify": lambda: command("model", "verify", f"{NAME}@1.0.0"),
        "mlflow": by_mlflow,
    }


def test_every_door_refuses_a_pickle_in_the_place_of_the_model(
    version, registry, root, canary, monkeypatch, capsys
):
    doors = _doors(registry, root, monkeypatch, capsys)
    (version / "model.joblib").write_bytes(CONTENT["joblib"](canary))
    for door in doors.values():
        with refused(canary, match="model.joblib"):
            door()
    with pytest.raises(SystemExit) as ended:
        main(["--storage", str(root), "model", "show", f"{NAME}@1.0.0"])
    assert ended.value.code in (0, None)  # it parses no file of the version


def test_a_replica_does_not_start_with_a_damaged_version(version, registry, canary):
    (version / "model.joblib").write_bytes(CONTENT["joblib"](canary))
    deployer = ModelDeployer(registry, ready_timeout_seconds=60)
    success, message = deployer.deploy(NAME, "1.0.0", "damaged", replicas=1)
    assert not success and "model.joblib" in message
    assert deployer.list() == []


def _rewrite(version: Path, canary: Path, seal: bool) -> None:
    """As who can write the storage, and not the tracking database."""
    core = json.loads((version / "config.json").read_text())["core"]
    (version / "model.joblib").write_bytes(CONTENT["joblib"](canary))
    mlmodel = yaml.safe_load((version / "MLmodel").read_text())
    mlmodel["flavors"]["python_function"]["python_version"] = "3.99"
    (version / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    forge(version)
    content = json.loads((version / "config.json").read_text())
    (version / "config.json").write_text(json.dumps(content | {"core": core}))
    if seal:
        data = (version / "config.json").read_bytes()
        seal_file = version.parent / "_journal" / "seals" / "1.0.0.json"
        content = json.loads(seal_file.read_text())
        content["digest"] = "sha256:" + hashlib.sha256(data).hexdigest()
        content.pop("record_sha256")  # a record without its own sum is read as it is
        seal_file.write_text(json.dumps(content))


@pytest.mark.parametrize("seal", [False, True], ids=["files", "files and seal"])
def test_a_consistent_forgery_differs_from_the_recorded_digest(
    seal, version, registry, root, canary, monkeypatch, capsys
):
    doors = _doors(registry, root, monkeypatch, capsys)
    _rewrite(version, canary, seal)
    if seal:
        doors.pop("profile")  # asks the storage only, and runs nothing
    for door in doors.values():
        with refused(canary, match="digest|is not what was saved"):
            door()
    assert is_unharmed(registry)


def test_a_replica_refuses_a_consistent_forgery(version, registry, canary):
    _rewrite(version, canary, seal=True)
    deployer = ModelDeployer(registry, ready_timeout_seconds=60)
    success, message = deployer.deploy(NAME, "1.0.0", "forged", replicas=1)
    assert not success and "digest" in message
    assert deployer.list() == []


def test_what_no_tracking_backend_recorded_runs_no_code(version, root, canary):
    """A colleague's folder: the joblib file is refused until somebody vouches."""
    registry = ModelRegistry(LocalStorageNode(root), tracking=MemoryTrackingStore())
    _rewrite(version, canary, seal=True)
    with pytest.raises(UntrustedArtifactError, match="trust='code'"):
        registry.load_model(NAME, "1.0.0")
    success, message = ModelDeployer(registry).deploy(NAME, "1.0.0", "colleague")
    assert not success and "can run code" in message


def test_a_drift_profile_that_is_no_parquet_is_refused(version, registry, canary):
    """Consistent with manifest and seal, so that a parser does see it."""
    from brixa_flows.drift import DriftProfile

    for make in CONTENT.values():
        (version / "drift_profile.parquet").write_bytes(make(canary))
        with refused(canary, match="drift_profile.parquet"):
            DriftProfile.load(version / "drift_profile.parquet")
