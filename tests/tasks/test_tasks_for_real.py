"""The tasks of the loop on a real Prefect server, MLflow, storage and endpoint."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
from prefect import flow
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from sklearn.linear_model import LogisticRegression

from brixa_flows.blocks import (
    BrixaDriftPolicy,
    BrixaGatePolicy,
    BrixaMlflowBackend,
    BrixaRegistry,
    BrixaServingTarget,
    BrixaSigningKeys,
    BrixaStorage,
    save_documents,
)
from brixa_flows.demo import stack as stack_room
from brixa_flows.demo.stack import PrefectStack, free_port
from brixa_flows.deployment import ModelDeployer, new_api_key
from brixa_flows.drift import SeasonalReference
from brixa_flows.errors import (
    DatasetError,
    DeploymentError,
    DriftError,
    OrchestrationError,
    PrefectUnavailableError,
)
from brixa_flows.evaluation import Gate, GatePolicy
from brixa_flows.events import (
    EvaluationDataset,
    LabelsArrived,
    ModelPromoted,
    TrainingCompleted,
    WindowClosed,
)
from brixa_flows.outbox import Outbox, Owed
from brixa_flows.registry import ModelRegistry
from brixa_flows.signing import KeyRing
from brixa_flows.tasks.announcing import (
    announce,
    announce_training_complete,
    announce_window_closed,
    deliver,
)
from brixa_flows.tasks.deployment import roll_out
from brixa_flows.tasks.drift import judge_window, served_version
from brixa_flows.tasks.evaluation import (
    compare_with_production,
    conclude_evaluation,
    evaluate_version,
)
from brixa_flows.tasks.opening import (
    load_drift_policy,
    load_policy,
    load_signing_keys,
    load_target,
    open_registry,
)
from brixa_flows.tasks.performance import judge_window_performance, learn_estimator
from brixa_flows.tasks.promotion import ask_policy, move_to_stage
from brixa_flows.tasks.reconciling import reconcile_registry
from brixa_flows.tasks.registration import (
    adopt_training,
    registered_event,
    sign_version,
    training_policy,
)
from brixa_flows.tasks.retraining import claim_retraining
from brixa_flows.tasks.reviving import serve_again
from brixa_flows.tasks.task_runners import RunnerName
from brixa_flows.tasks.watching import watch_window
from brixa_flows.tasks.windows import find_closed_windows, read_window
from flows.evaluate_model import EvaluateRequest, evaluate_model
from flows.evaluate_versions import EvaluateVersionsRequest, evaluate_versions
from flows.monitor_performance import PerformanceRequest, monitor_performance
from flows.predict_batch import PredictRequest, predict_batch
from flows.roll_back import RollBackRequest, roll_back
from tests.backends import copy_template
from tests.kept_requests import keep_requests
from tests.requirements_present import require

BLOCK = "brixa"
KEY = new_api_key()
ROWS = 400
NOWHERE = "http://127.0.0.1:9/api"  # nobody listens at the port of discard

pytestmark = [
    pytest.mark.slow(seconds=40),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(
        "ignore::brixa_flows.errors.InsecureSerializationWarning"
    ),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parquet of ``train`` and ``test`` rows, and of ``warm`` ones: another ``a``."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for name, shift in (("train", 0.0), ("test", 0.0), ("warm", 3.0)):
        numbers = random.normal(size=(ROWS, 2))
        frame = pd.DataFrame(numbers, columns=["a", "b"])
        noise = random.normal(size=ROWS) / 2
        frame["late"] = (frame["a"] + noise > 0).astype("int64")
        frame["a"] += shift
        frame.to_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def registry(
    stack: PrefectStack,
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_template_db: Path,
) -> Iterator[ModelRegistry]:
    """What the block documents on the server describe; tasks open it by name."""
    folder = tmp_path_factory.mktemp("registry")
    copy_template(mlflow_template_db, folder / "mlflow.db")
    rules = GatePolicy([Gate("roc_auc", min=0.8, not_worse_than="production")])
    open_registry.cache_clear()
    with temporary_settings({PREFECT_API_URL: stack.api.url}), disable_run_logger():
        described = BrixaRegistry(
            storage=BrixaStorage(path=str(folder / "storage")),
            backend=BrixaMlflowBackend(
                tracking_uri=f"sqlite:///{folder / 'mlflow.db'}"
            ),
        )
        documents = [
            (BLOCK, described.storage),
            (BLOCK, described.backend),
            (BLOCK, described),
            ("production", BrixaGatePolicy.from_policy(rules)),
            ("elsewhere", BrixaServingTarget(host="127.0.0.2", api_key=SecretStr(KEY))),
            ("two-replicas", BrixaServingTarget(replicas=2, cpu="250m")),
            ("two-of-two", BrixaDriftPolicy(needed=2, among=2)),
            ("rolls-back", BrixaDriftPolicy(response="roll_back")),
        ]
        for _ in range(2):
            assert len([*save_documents(documents)]) == len(documents)
        opened = open_registry(BLOCK)
        yield opened
        deployer = ModelDeployer(opened)
        for name in deployer.list():
            deployer.delete(name)
    open_registry.cache_clear()


@pytest.fixture(scope="module")
def logged_run(registry: ModelRegistry, data: Path) -> str:
    """Run in which a team logged two models with MLflow."""
    rows = pd.read_parquet(data / "train.parquet")
    client = mlflow.MlflowClient(registry.tracking.uri)
    place = (data / "runs").as_uri()
    experiment = client.create_experiment("training", artifact_location=place)
    mlflow.set_tracking_uri(registry.tracking.uri)
    try:
        with mlflow.start_run(experiment_id=experiment) as run:
            for name in ("model", "again"):
                mlflow.sklearn.log_model(
                    LogisticRegression().fit(rows[["a", "b"]], rows["late"]),
                    name=name,
                    pip_requirements=["scikit-learn"],
                    serialization_format="cloudpickle",
                )
    finally:
        mlflow.set_tracking_uri(None)  # what it was: unset
    return str(run.info.run_id)


@pytest.fixture(scope="module")
def logged(logged_run: str) -> str:
    """URI of a logged model."""
    return f"runs:/{logged_run}/model"


@pytest.fixture(scope="module")
def logged_again(logged_run: str) -> str:
    """URI of another one."""
    return f"runs:/{logged_run}/again"


@pytest.fixture
def training(logged: str, data: Path) -> TrainingCompleted:
    """The training of a model of the test's own."""
    return TrainingCompleted(
        name=f"delays-{uuid4().hex[:8]}",
        model_uri=logged,
        framework="sklearn",
        model_type="classification",
        hyperparameters={"C": 1.0},
        metrics={"roc_auc": 0.9},
        datasets=[{"name": "rows", "digest": "sha256:ab", "rows": ROWS}],
        reference_uri=str(data / "train.parquet"),
        target="late",
        flow_run_id="a-flow-run",
        git_commit="c0ffee",
        policy="strict",
    )


@pytest.fixture
def name(training: TrainingCompleted) -> str:
    """A model whose 1.0.0 was adopted from MLflow."""
    adopt_training.fn(BLOCK, training)
    return training.name


@pytest.fixture
def held_out(data: Path) -> EvaluationDataset:
    return EvaluationDataset(name="held-out", uri=str(data / "test.parquet"))


def test_a_training_becomes_a_sealed_version_with_all_that_went_into_it(
    registry: ModelRegistry, training: TrainingCompleted
) -> None:
    found = adopt_training.fn(BLOCK, training)
    assert adopt_training.fn(BLOCK, training) == found  # no second version
    assert (str(found.version), found.state) == ("1.0.0", "ready")
    assert found.hyperparameters["C"] == 1.0
    lineage = registry.get_metadata(training.name, "1.0.0").lineage
    assert lineage.datasets[0].digest == "sha256:ab"
    assert lineage.flow_run_id == "a-flow-run"
    assert lineage.code is not None and lineage.code.commit == "c0ffee"
    rows = pd.read_parquet(training.reference_uri)[["a", "b"]]
    assert set(registry.load_model(training.name, "1.0.0").predict(rows)) == {0, 1}
    told = registered_event(BLOCK, training.name, "1.0.0").payload.to_payload()
    assert told["policy"] == training_policy(BLOCK, training.name, "1.0.0") == "strict"


def test_a_version_is_judged_promoted_and_then_is_what_others_are_compared_with(
    registry: ModelRegistry,
    training: TrainingCompleted,
    name: str,
    held_out: EvaluationDataset,
    logged_again: str,
) -> None:
    first = (BLOCK, name, "1.0.0", held_out, "late", ["roc_auc"])
    assert compare_with_production.fn(*first) is None
    result, owed = conclude_evaluation.fn(*first, None)
    assert 0.85 < result.metrics["roc_auc"] < 1
    assert evaluate_version.fn(*first).metrics == result.metrics
    [recorded] = registry.evaluations(name, "1.0.0")
    assert str(owed.event_id) == recorded["event_id"]
    _, strictly = conclude_evaluation.fn(*first, None, "strict")
    asked_for = [each.payload.to_payload()["policy"] for each in (owed, strictly)]
    assert asked_for == ["production", "strict"]
    assert conclude_evaluation.fn(*first, None, "strict")[1] == strictly
    assert conclude_evaluation.fn(*first, None)[1] == owed
    asked = (BLOCK, "production", name)
    assert ask_policy.fn(*asked, "1.0.0", result.dataset_digest, {}).allowed

    moved = move_to_stage.fn(BLOCK, name, "1.0.0", "production", "ada", "it may")
    again = move_to_stage.fn(BLOCK, name, "1.0.0", "production", "bob", "repeated")
    assert again == moved and moved.actor == "ada"

    adopt_training.fn(BLOCK, training.model_copy(update={"model_uri": logged_again}))
    second = (BLOCK, name, "1.0.1", held_out, "late", ["roc_auc"])
    compared = compare_with_production.fn(*second)
    assert compared is not None and str(compared.baseline) == "1.0.0"
    judged, owed = conclude_evaluation.fn(*second, compared)
    assert owed.payload.to_payload()["baseline"] == "1.0.0"
    decision = ask_policy.fn(*asked, "1.0.1", judged.dataset_digest, {})
    assert not decision.allowed
    facts = compared.to_dict()
    assert ask_policy.fn(*asked, "1.0.1", judged.dataset_digest, facts).allowed


def test_what_a_policy_asks_by_slice_and_of_drift_is_measured_in_the_loop(
    registry: ModelRegistry,
    training: TrainingCompleted,
    name: str,
    data: Path,
    logged_again: str,
) -> None:
    gates = [
        Gate("accuracy", min=0.5, slice="side"),
        Gate("roc_auc", not_worse_than="production", margin=0.1, slice="side"),
        Gate(require="no_drift"),
    ]
    rules = BrixaGatePolicy.from_policy(GatePolicy(gates))
    assert len([*save_documents([("by-side", rules)])]) == 1
    datasets = []
    for kind in ("test", "warm"):
        rows = pd.read_parquet(data / f"{kind}.parquet")
        rows["side"] = np.where(rows["b"] > 0, "left", "right")
        rows.to_parquet(data / f"{kind}-sides.parquet")
        uri = str(data / f"{kind}-sides.parquet")
        datasets.append(EvaluationDataset(name=kind, uri=uri))
    asked = ("late", ["roc_auc", "accuracy"])
    without = EvaluationDataset(name="plain", uri=str(data / "test.parquet"))
    with pytest.raises(
        DatasetError, match="no column 'side' to slice by; it has: a, b"
    ):
        conclude_evaluation.fn(BLOCK, name, "1.0.0", without, *asked, None, "by-side")
    first = (BLOCK, name, "1.0.0", datasets[0], *asked)
    plain, _ = conclude_evaluation.fn(*first, None, "by-side-later")  # no such policy
    assert plain.slices == () and plain.drift == {}
    move_to_stage.fn(BLOCK, name, "1.0.0", "production", "ada", "it may")
    adopt_training.fn(BLOCK, training.model_copy(update={"model_uri": logged_again}))
    decisions = []
    for dataset in datasets:
        second = (BLOCK, name, "1.0.1", dataset, *asked)
        unsliced = compare_with_production.fn(*second)
        conclude_evaluation.fn(*second, unsliced)  # is not what by-side gets
        compared = compare_with_production.fn(*second, "by-side")
        judged, owed = conclude_evaluation.fn(*second, compared, "by-side")
        assert conclude_evaluation.fn(*second, compared, "by-side")[1] == owed
        facts = owed.payload.to_payload()["comparison"]
        digest = judged.dataset_digest
        decisions.append(
            ask_policy.fn(BLOCK, "by-side", name, "1.0.1", digest, facts).gates
        )
    value, gain, drift = decisions[0]
    assert value.passed and "for each of 2 values of side" in value.sentence
    assert gain.passed and "holds for each of 2 values of side" in gain.sentence
    assert drift.passed, drift.sentence
    assert not decisions[1][2].passed
    assert "against its training rows: " in decisions[1][2].sentence


@pytest.mark.parametrize("runner", ["threads", "dask", "ray"])
def test_many_versions_are_judged_side_by_side_and_ranked(
    registry: ModelRegistry,
    stack: PrefectStack,
    training: TrainingCompleted,
    name: str,
    held_out: EvaluationDataset,
    logged_again: str,
    runner: RunnerName,
) -> None:
    adopt_training.fn(BLOCK, training.model_copy(update={"model_uri": logged_again}))
    request = EvaluateVersionsRequest(
        name=name,
        evaluation=held_out,
        target="late",
        metrics=["roc_auc"],
        runner=runner,
        at_once=2 if runner == "threads" else 1,  # a process each, which is dear
        registry=BLOCK,
    )
    evaluate_versions(request)
    for version in ("1.0.0", "1.0.1"):
        assert len(registry.evaluations(name, version)) == 1
    query = {"artifacts": {"key": {"any_": [f"ranked-{name}"]}}}
    url = f"{stack.api.url}/artifacts/filter"
    [report] = httpx.post(url, json=query, timeout=20).raise_for_status().json()
    assert "2 versions on the same 400 rows of held-out" in report["data"]


def test_many_rows_are_predicted_into_a_file_and_watched_for_drift(
    registry: ModelRegistry,
    stack: PrefectStack,
    name: str,
    held_out: EvaluationDataset,
    data: Path,
    tmp_path: Path,
) -> None:
    assert learn_estimator.fn(BLOCK, name, "1.0.0", held_out, "late")
    request = PredictRequest(
        name=name,
        source=str(data / "warm.parquet"),
        output=str(tmp_path / "scored.csv"),
        start="2013-03-01T00:00:00Z",
        end="2013-04-01T00:00:00Z",
        kind="month",
        registry=BLOCK,
    )
    predict_batch(request)
    scored = pd.read_csv(request.output)
    assert set(scored["model_version"]) == {"1.0.0"} and len(scored) == ROWS
    [found] = registry.drift_reports(name, "1.0.0")
    assert (found["status"], found["alarm"], found["rows"]) == ("drift", True, ROWS)
    assert found["data_uri"] == f"{request.output}.profile.parquet"
    [judged] = registry.performance_reports(name, "1.0.0")
    assert (judged["realised"], judged["labelled"]) == (True, ROWS)
    assert judged["status"] == "degraded" and judged["start"] == request.start
    query = {"artifacts": {"key": {"any_": [f"scored-{name}"]}}}
    url = f"{stack.api.url}/artifacts/filter"
    [report] = httpx.post(url, json=query, timeout=20).raise_for_status().json()
    assert request.output in report["data"]


def test_rows_that_were_predicted_into_a_database_are_watched_too(
    registry: ModelRegistry, stack: PrefectStack, name: str, data: Path, tmp_path: Path
) -> None:
    request = PredictRequest(
        name=name,
        source=str(data / "warm.parquet"),
        output=f"sqlite:///{tmp_path / 'scored.db'}",
        table="scored",
        start="2013-03-01",
        end="2013-04-01",
        registry=BLOCK,
    )
    predict_batch(request)
    [found] = registry.drift_reports(name, "1.0.0")
    assert (found["status"], found["alarm"], found["rows"]) == ("drift", True, ROWS)
    assert found["data_uri"] == ""


def test_a_version_is_rolled_out_and_answers_with_as_many_replicas_as_the_target_says(
    registry: ModelRegistry, name: str
) -> None:
    port = free_port()
    owed = roll_out.fn(BLOCK, name, "1.0.0", name, "elsewhere", port)
    deployed = owed.payload.to_payload()
    assert deployed["endpoint"].startswith("http://127.0.0.2:")
    assert deployed["replaced"] == ""
    assert roll_out.fn(BLOCK, name, "1.0.0", name) == owed  # it serves already
    assert served_version.fn(BLOCK, name) == "1.0.0"
    url = f"{deployed['endpoint']}/v2/models/{name}"
    assert httpx.get(url, timeout=20).status_code == 401
    model = httpx.get(url, headers={"authorization": f"Bearer {KEY}"}, timeout=20)
    assert model.json()["name"] == name
    deployer = ModelDeployer(registry)
    before = deployer.config(name)
    assert roll_out.fn(BLOCK, name, "1.0.0", name, "elsewhere") == owed
    assert deployer.config(name) == before, "its key is there already"
    assert before.port == port, "the target says none"
    with pytest.raises(DeploymentError, match=f"has {port}, and a deployment keeps"):
        roll_out.fn(BLOCK, name, "1.0.0", name, "elsewhere", port + 1)
    speaking = BrixaServingTarget(protocol="both", grpc_port=free_port(), port=port)
    assert not speaking.is_met(deployer, name, "1.0.0", name)
    speaking.deploy(registry, name, "1.0.0", name)
    assert speaking.is_met(deployer, name, "1.0.0", name)
    assert deployer.config(name).grpc_port == speaking.grpc_port
    assert before.replicas == registry.settings.default_replicas
    assert roll_out.fn(BLOCK, name, "1.0.0", name, "two-replicas") == owed
    after = deployer.config(name)
    assert (after.replicas, after.resources.cpu) == (2, "250m")
    assert after.resources.memory == before.resources.memory
    roll_out.fn(BLOCK, name, "1.0.0", name)
    assert deployer.config(name).replicas == 2  # a target that says nothing leaves it
    assert serve_again.fn(BLOCK) == []
    status = deployer.status(name)
    psutil.Process(status.pid).kill()
    while any(psutil.pid_exists(each.pid) for each in status.replicas):
        time.sleep(0.05)
    assert list(deployer.unserved()) == [name]
    [served] = serve_again.fn(BLOCK)
    assert (served.name, served.served, served.is_news) == (name, True, True), served
    assert deployer.status(name).healthy


def test_a_new_version_is_signed_by_the_key_that_a_block_holds(
    registry: ModelRegistry, name: str, tmp_path: Path
) -> None:
    ring = KeyRing(tmp_path / "keys")
    ring.new("ci")
    pem = SecretStr((ring.folder / "ci.pem").read_text())
    BrixaSigningKeys(key="ci", pem=pem).save("ci", overwrite=True)
    sign_version.fn(BLOCK, "ci", name, "1.0.0")
    [check] = registry.verify(name, "1.0.0").signatures
    assert check.verdict == "unknown"  # here, where nobody trusts that key
    assert check.fingerprint == ring.keys()[0].fingerprint


def test_what_a_person_typed_in_the_ui_stays_when_the_documents_are_saved_again(
    registry: ModelRegistry,
) -> None:
    typed = BrixaMlflowBackend(
        tracking_uri="http://mlflow.example", username="ada", password=SecretStr("pw")
    )
    typed.save("typed")
    from_code = BrixaMlflowBackend(tracking_uri="http://other.example")
    assert [*save_documents([("typed", from_code)])] == ["brixa-mlflow-backend/typed"]
    stored = BrixaMlflowBackend.load("typed")
    assert isinstance(stored, BrixaMlflowBackend)
    assert stored.tracking_uri == "http://other.example"
    assert (stored.username, stored.password.get_secret_value()) == ("ada", "pw")


def _window(name: str, data: Path, rows: str, start: str, end: str) -> WindowClosed:
    return WindowClosed(
        name=name,
        deployment=name,
        kind="sample",
        start=start,
        end=end,
        data_uri=str(data / f"{rows}.parquet"),
    )


def _assert_heard_once(stack: PrefectStack, window: WindowClosed) -> None:
    query = {"filter": {"resource": {"id": [f"brixa.model.{window.name}"]}}}

    def heard() -> int:
        answer = httpx.post(f"{stack.api.url}/events/filter", json=query, timeout=20)
        names = [event["event"] for event in answer.json()["events"]]
        return names.count(window.event)

    stack_room.wait_until(lambda: heard() > 0, 30, "the window")
    assert heard() == 1


def test_a_window_is_quiet_or_an_alarm_and_either_is_recorded(
    registry: ModelRegistry, name: str, data: Path, tmp_path: Path
) -> None:
    span = ("2013-03-01", "2013-04-01")
    found = {
        rows: judge_window.fn(BLOCK, "1.0.0", _window(name, data, rows, *span))
        for rows in ("test", "warm")
    }
    again = judge_window.fn(BLOCK, "1.0.0", _window(name, data, "warm", *span))
    assert again == found["warm"]
    assert found["test"].report.status == "ok"
    assert not found["test"].verdict.alarm
    assert found["warm"].report.status == "drift"
    assert found["warm"].verdict.alarm
    assert "a" in found["warm"].report.drifted
    assert "b" not in found["warm"].report.drifted
    [advice] = [x for x in found["warm"].report.advice if x.column == "a"]
    assert advice.since == "2013-03-01" and "performance" in advice.action
    assert advice.matters.endswith("times the limit, importance unknown")
    assert found["test"].page == "" and not found["test"].report.advice
    page = mlflow.artifacts.download_artifacts(
        found["warm"].page, tracking_uri=registry.tracking.uri, dst_path=str(tmp_path)
    )
    assert "What to do" in Path(page).read_text()
    told = found["warm"].owed.payload.to_payload()
    assert told["report_uri"] == found["warm"].page
    recorded = [record["event_id"] for record in registry.drift_reports(name, "1.0.0")]
    assert recorded == [str(judged.owed.event_id) for judged in found.values()]


def test_mlflow_shows_each_window_at_its_own_moment(
    registry: ModelRegistry, name: str, data: Path
) -> None:
    for rows, end in (("test", "2013-04-01"), ("warm", "2013-05-01")):
        window = _window(name, data, rows, f"2013-0{int(end[6]) - 1}-01", end)
        judge_window.fn(BLOCK, "1.0.0", window)
    client = mlflow.MlflowClient(registry.tracking.uri)
    [version] = client.search_model_versions(f"name = '{name}'")
    place = f"windows/{name}/sample"
    kept = {
        what: client.get_metric_history(version.run_id, f"{place}/drift_{what}")
        for what in ("share", "score", "alarm")
    }
    ends = [datetime(2013, month, 1, tzinfo=UTC).timestamp() * 1000 for month in (4, 5)]
    assert all([x.timestamp for x in each] == ends for each in kept.values())
    assert [x.value for x in kept["share"]] == [0, 0.5]
    assert [x.value for x in kept["alarm"]] == [0, 1]
    quiet, warm = (x.value for x in kept["score"])
    assert 1 < warm and quiet < warm


def test_a_watched_window_knows_what_its_drift_costs_and_what_nobody_can_tell(
    registry: ModelRegistry,
    stack: PrefectStack,
    name: str,
    held_out: EvaluationDataset,
    data: Path,
    tmp_path: Path,
) -> None:
    @flow
    def watch(window: WindowClosed) -> None:
        watch_window(BLOCK, "1.0.0", window)

    asked = pd.read_parquet(data / "warm.parquet").drop(columns="late")
    asked.to_parquet(tmp_path / "warm.parquet")
    asked.drop(columns="b").to_parquet(tmp_path / "less.parquet")
    assert learn_estimator.fn(BLOCK, name, "1.0.0", held_out, "late")
    spans = [("2013-03-01", "2013-04-01"), ("2013-04-01", "2013-05-01")]
    for rows, span in zip(("warm", "less"), spans, strict=True):
        watch(_window(name, tmp_path, rows, *span))
    with pytest.raises(DriftError, match="neither drift nor performance of the .*no"):
        read_window.fn(BLOCK, "1.0.0", _window(name, tmp_path, "nope", *spans[0]))
    [judged] = registry.performance_reports(name, "1.0.0")
    assert not judged["realised"]
    warm, less = registry.drift_reports(name, "1.0.0")
    assert warm["findings"] == []
    [cost] = [each for each in warm["advice"] if each["column"] is None]
    assert "roc_auc " in cost["matters"]
    [of_a] = [each for each in warm["advice"] if each["column"] == "a"]
    assert "% of the model's importance" in of_a["matters"]
    kinds = {each["kind"]: each["sentence"] for each in less["findings"]}
    assert "b: the column is gone" in kinds["gone"]
    assert "could not be estimated: " in kinds["not_estimated"]
    assert "'b'" in kinds["not_estimated"]


def test_a_window_without_data_is_judged_by_what_its_deployment_was_asked(
    registry: ModelRegistry, name: str, data: Path, tmp_path: Path
) -> None:
    warm = pd.read_parquet(data / "warm.parquet")[["a", "b"]]
    keep_requests(registry, tmp_path, name, name, warm)
    span = {"start": "2026-01-01", "end": "2999-01-01", "kind": "sample"}
    window = WindowClosed(name=name, deployment=name, **span)
    found = judge_window.fn(BLOCK, "1.0.0", window)
    assert (found.report.status, found.report.drifted) == ("drift", ["a"])
    assert found.report.findings == (), "only inputs are compared"


@pytest.mark.filterwarnings(
    # 2026-11: Evidently 0.7.23 and what it imports, on current numpy and pandas.
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::UserWarning",
)
def test_a_window_stands_in_the_workspace_that_a_setting_names_or_a_warning_says_why(
    registry: ModelRegistry,
    name: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require("evidently", importlib.util.find_spec("evidently") is not None)
    (tmp_path / "file").touch()
    spans = [("2013-03-01", "2013-04-01"), ("2013-04-01", "2013-05-01")]
    for place, span in zip(("file", "kept"), spans, strict=True):
        update = {"evidently_workspace": tmp_path / place}
        said = registry.settings.model_copy(update=update)
        monkeypatch.setattr(registry, "settings", said)
        judge_window.fn(BLOCK, "1.0.0", _window(name, data, "warm", *span))
    assert len(registry.drift_reports(name, "1.0.0")) == 2
    from evidently.ui.workspace import Workspace

    workspace = Workspace.create(str(tmp_path / "kept"))
    [project] = workspace.list_projects()
    assert project.name == f"{name} 1.0.0: samples of {name}"
    assert len(workspace.list_runs(project.id)) == 1


def test_a_longer_window_is_the_sum_of_those_that_were_judged(
    registry: ModelRegistry, name: str, data: Path
) -> None:
    spans = [("2013-03-01", "2013-03-16"), ("2013-03-16", "2013-04-01")]
    for rows, span in zip(("test", "warm"), spans, strict=True):
        judge_window.fn(BLOCK, "1.0.0", _window(name, data, rows, *span))
    whole = _window(name, data, "", spans[0][0], spans[1][1])
    # Its deployment logged nothing, so there are no rows that could be read again.
    found = judge_window.fn(BLOCK, "1.0.0", whole.model_copy(update={"data_uri": ""}))
    assert found.report.rows == 2 * ROWS
    assert found.report.drifted == ["a"]


def test_a_policy_asks_for_seasons_and_the_training_gives_them(
    registry: ModelRegistry,
    training: TrainingCompleted,
    data: Path,
    tmp_path: Path,
) -> None:
    rows = pd.concat([pd.read_parquet(data / f"{n}.parquet") for n in ("test", "warm")])
    months = pd.date_range("2012-03-01", periods=2, freq="MS").repeat(ROWS)
    hours = pd.to_timedelta(np.tile(np.arange(ROWS) * 1.7, 2), unit="h")
    dated = rows[["a", "b"]].assign(at=months + hours)  # a warm April
    SeasonalReference.build(dated, window_column="at").save(tmp_path / "seasons")
    asked = {"name": f"{training.name}-seasons", "reference_uri": f"{tmp_path}/seasons"}
    adopted = adopt_training.fn(BLOCK, training.model_copy(update=asked))
    assert adopted.has_reference
    assert len([*save_documents([("seasons", BrixaDriftPolicy(season="month"))])]) == 1
    april = _window(adopted.name, data, "warm", "2013-04-01", "2013-05-01")
    kept = [
        judge_window.fn(BLOCK, "1.0.0", april, policy).report
        for policy in ("seasons", "")
    ]
    assert [(each.status, each.reference_rows) for each in kept] == [
        ("ok", ROWS),
        ("drift", 2 * ROWS),
    ]


def test_each_window_that_a_production_deployment_logged_is_announced_once(
    registry: ModelRegistry,
    stack: PrefectStack,
    name: str,
    held_out: EvaluationDataset,
    data: Path,
    tmp_path: Path,
) -> None:
    roll_out.fn(BLOCK, name, "1.0.0", name)
    warm = pd.read_parquet(data / "warm.parquet")[["a", "b"]]
    keep_requests(registry, tmp_path, name, name, warm)
    later = datetime.now(UTC) + timedelta(hours=1)

    def over(at: datetime) -> list[WindowClosed]:
        found = find_closed_windows.fn(BLOCK, ["hour"], 2, 15, at)
        return [each for each in found if each.name == name]

    assert over(later + timedelta(minutes=15)) == []  # it is not in production
    registry.transition(name, "1.0.0", "production")
    assert over(datetime.now(UTC)) == []  # the hour goes on
    [window] = over(later + timedelta(minutes=15))
    for _ in range(2):
        announce_window_closed(window, BLOCK)
    _assert_heard_once(stack, window)
    assert learn_estimator.fn(BLOCK, name, "1.0.0", held_out, "late")
    asked = LabelsArrived(**window.model_dump())
    judged = judge_window_performance.fn(BLOCK, "1.0.0", asked)
    assert judged is not None
    assert (judged.report.rows, judged.report.realised) == (ROWS, False)


def test_a_policy_can_ask_for_two_windows_that_drift(
    registry: ModelRegistry, name: str, data: Path
) -> None:
    spans = [("2013-03-01", "2013-04-01"), ("2013-04-01", "2013-05-01")]
    alarms = [
        judge_window.fn(
            BLOCK, "1.0.0", _window(name, data, "warm", *span), "two-of-two"
        ).verdict.alarm
        for span in [*spans, spans[0]]
    ]
    assert alarms == [False, True, False]
    kept = [record["alarm"] for record in registry.drift_reports(name, "1.0.0")]
    assert kept == alarms[:2]  # the third is the first, asked again


def test_performance_is_learned_at_the_evaluation_and_judged_window_by_window(
    registry: ModelRegistry,
    stack: PrefectStack,
    name: str,
    held_out: EvaluationDataset,
    data: Path,
    tmp_path: Path,
) -> None:
    unlabelled = str(tmp_path / "asked.parquet")
    pd.read_parquet(data / "test.parquet").drop(columns="late").to_parquet(unlabelled)
    window = PerformanceRequest(
        name=name,
        deployment=name,
        start="2013-03-01",
        end="2013-04-01",
        kind="month",
        data_uri=unlabelled,
        version="1.0.0",
        policy="rolls-back",
    )
    monitor_performance(window)  # nobody learned anything: told, no failure
    assert registry.performance_reports(name, "1.0.0") == []
    judged = EvaluateRequest(
        name=name, version="1.0.0", evaluations=[held_out], target="late"
    )
    with pytest.raises(OrchestrationError, match="no Brixa Gate Policy block called"):
        evaluate_model(judged.model_copy(update={"policy": "unsaved"}))
    assert registry.evaluations(name, "1.0.0") == []
    judged = judged.model_copy(update={"policy": "production"})
    for _ in range(2):
        evaluate_model(judged)
    [kept] = registry.estimators(name, "1.0.0")
    assert kept["dataset"]["name"] == "held-out" and kept["target"] == "late"

    labelled = window.model_copy(update={"data_uri": str(data / "warm.parquet")})
    for request in (window, labelled, labelled):
        monitor_performance(request)
    quiet, alarm = registry.performance_reports(name, "1.0.0")
    assert (quiet["realised"], quiet["status"]) == (False, "ok")
    assert (alarm["realised"], alarm["status"]) == (True, "degraded")
    assert (quiet["alarm"], alarm["alarm"]) == (False, True)
    told = alarm["announces"]["payload"]
    assert told["response"] == "roll_back" and "accuracy" in told["metrics"]
    for record in (quiet, alarm):
        event = record["announces"]["event"]
        _wait_for_event(stack, event, UUID(record["event_id"]))
    query = {"artifacts": {"key": {"any_": [f"performance-{name}"]}}}
    url = f"{stack.api.url}/artifacts/filter"
    shown = httpx.post(url, json=query, timeout=20).raise_for_status().json()
    assert sum("# A performance alarm" in each["data"] for each in shown) == 2
    assert sum("concept drift" in each["data"] for each in shown) == 1


def test_an_alarm_rolls_back_once_the_version_that_it_is_about(
    registry: ModelRegistry, training: TrainingCompleted, name: str, logged_again: str
) -> None:
    adopt_training.fn(BLOCK, training.model_copy(update={"model_uri": logged_again}))
    for version in ("1.0.0", "1.0.1"):
        registry.transition(name, version, "production")
    request = RollBackRequest(name=name, version="1.0.1", reason="it got worse")
    for _ in range(2):
        roll_back(request)
        assert str(registry.production_version(name)) == "1.0.0"
    last = registry.stage_history(name)[-1]
    assert (last.reason, last.actor) == (
        "it got worse",
        f"flow run roll {name} 1.0.1 back",
    )
    assert Outbox(registry).is_delivered(UUID(last.event_id))
    history = len(registry.stage_history(name))
    roll_back(request.model_copy(update={"version": "1.0.1"}))
    assert len(registry.stage_history(name)) == history


def test_of_two_alarms_in_a_month_one_retrains(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "first")
        assert claim_retraining.fn(BLOCK, name, "1.0.0", "2013-04")
        assert claim_retraining.fn(BLOCK, name, "1.0.0", "2013-04")  # its own retry
        patch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "second")
        assert not claim_retraining.fn(BLOCK, name, "1.0.0", "2013-04")
        assert claim_retraining.fn(BLOCK, name, "1.0.0", "2013-05")


def _announce_training(training: TrainingCompleted) -> None:
    facts = ("name", "model_uri", "framework", "model_type", "hyperparameters")
    announce_training_complete.fn(**{fact: getattr(training, fact) for fact in facts})


def _pending(registry: ModelRegistry, name: str) -> list[TrainingCompleted]:
    waiting = [owed.payload for owed in Outbox(registry).pending()]
    return [
        payload
        for payload in waiting
        if isinstance(payload, TrainingCompleted) and payload.name == name
    ]


def test_a_training_announced_while_the_server_is_away_waits_in_the_outbox(
    registry: ModelRegistry, training: TrainingCompleted, stack: PrefectStack
) -> None:
    event_id = training.event_id(training.model_uri)
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        for _ in range(2):
            with pytest.raises(PrefectUnavailableError, match=NOWHERE):
                _announce_training(training)
    [waiting] = _pending(registry, training.name)
    assert waiting.hyperparameters == {"C": 1.0}
    assert not Outbox(registry).is_delivered(event_id)

    _announce_training(training)  # the server is back
    assert Outbox(registry).is_delivered(event_id)
    assert len(_pending(registry, training.name)) == 1  # the server may lose it yet
    _wait_for_event(stack, training.event, event_id)
    reconcile_registry.fn(BLOCK, 0, 24)
    assert _pending(registry, training.name) == []


def test_a_window_that_closed_while_the_server_was_away_is_told_later_and_once(
    registry: ModelRegistry, stack: PrefectStack, name: str, data: Path
) -> None:
    window = _window(name, data, "test", "2013-03-01", "2013-04-01")
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        with pytest.raises(PrefectUnavailableError, match=NOWHERE):
            announce_window_closed(window, registry)
    done = reconcile_registry.fn(BLOCK, 0, 24)
    assert window in done.delivered
    announce_window_closed(window, BLOCK)
    _assert_heard_once(stack, window)


def test_an_announced_change_is_marked_when_the_server_has_it_and_not_before(
    registry: ModelRegistry, stack: PrefectStack
) -> None:
    facts = {"start": "2013-03-01", "end": "2013-04-01", "kind": "month"}
    closed = WindowClosed(name="m", deployment="m", data_uri="rows.parquet", **facts)
    event_id = uuid4()
    owed = Owed(event_id, closed, datetime.now(UTC))
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        with pytest.raises(PrefectUnavailableError, match=NOWHERE):
            announce.fn(BLOCK, owed)
    assert not Outbox(registry).is_delivered(event_id)
    announce.fn(BLOCK, owed)
    assert Outbox(registry).is_delivered(event_id)
    _wait_for_event(stack, closed.event, event_id)


def test_a_promotion_by_hand_reaches_the_server_once(
    registry: ModelRegistry, name: str, stack: PrefectStack
) -> None:
    registry.transition(name, "1.0.0", "production", actor="ada", reason="by hand")
    done = reconcile_registry.fn(BLOCK, 0, 24)
    [_, told] = [each for each in done.delivered if each.name == name]
    assert isinstance(told, ModelPromoted) and told.actor == "ada"
    assert reconcile_registry.fn(BLOCK, 0, 24).delivered == ()
    [record] = registry.stage_history(name)
    deliver(told, UUID(record.event_id))  # as a process that died before its mark does
    later = deliver(told)
    _wait_for_event(stack, told.event, later)
    seen = _events(stack, told.event)
    assert seen.count(record.event_id) == 1


def _events(stack: PrefectStack, event: str) -> list[str]:
    """Ids of the events of a name that are in the server's database."""
    query = {"filter": {"event": {"name": [event]}}, "limit": 50}
    answer = httpx.post(f"{stack.api.url}/events/filter", json=query, timeout=20)
    found = answer.raise_for_status().json()["events"]
    return [str(item["id"]) for item in found]


def _wait_for_event(stack: PrefectStack, event: str, event_id: UUID) -> None:
    """Return when the server has written the event to its database."""
    stack_room.wait_until(
        lambda: str(event_id) in _events(stack, event), 30, f"the event {event_id}"
    )


def test_an_unknown_block_says_how_to_make_one(registry: ModelRegistry) -> None:
    loaders = (
        open_registry,
        load_policy,
        load_drift_policy,
        load_target,
        load_signing_keys,
    )
    for load in loaders:
        with pytest.raises(OrchestrationError, match="'nope'; save the project's"):
            load("nope")


def test_a_registry_that_is_opened_while_the_server_is_away_is_worth_another_try(
    registry: ModelRegistry,
) -> None:
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        with pytest.raises(PrefectUnavailableError, match=NOWHERE):
            open_registry("not-opened-yet")
