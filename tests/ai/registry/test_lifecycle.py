"""Metadata, versions, stages, evaluation and deployment through the public door."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from brixa.ai.registry import (
    DatasetRef,
    ModelDeployer,
    ModelEvaluator,
    ModelRegistry,
    ModelVersion,
    VersionConstraint,
    VersionExistsError,
    infer_schemas,
)
from brixa.storage.local import LocalStorageNode

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

INPUT = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}
OUTPUT = {
    "type": "object",
    "properties": {
        "sentiment": {"type": "string", "enum": ["positive", "neutral", "negative"]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
}


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    generator = np.random.default_rng(5)
    frame = pd.DataFrame(generator.normal(size=(300, 3)), columns=["b", "a", "c"])
    noise = generator.normal(scale=0.4, size=300)
    frame["label"] = (frame["b"] - frame["a"] + noise > 0).astype("int64")
    return frame


@pytest.fixture(scope="module")
def model(data: pd.DataFrame) -> LogisticRegression:
    return LogisticRegression().fit(data[["b", "a", "c"]], data["label"])


def test_full_metadata_is_kept_as_given(registry: ModelRegistry) -> None:
    metadata = registry.register_model(
        name="sentiment-analysis",
        model_type="text-classification",
        framework="pytorch",
        description="Reads what people write about products",
        tags=["nlp", "sentiment-analysis"],
        hyperparameters={"learning_rate": 1e-5, "batch_size": 32, "epochs": 10},
        input_schema=INPUT,
        output_schema=OUTPUT,
    )
    assert f"{metadata.name} v{metadata.version}" == "sentiment-analysis v1.0.0"
    found = registry.get_metadata("sentiment-analysis", "1.0.0")
    assert found.hyperparameters["learning_rate"] == 1e-5
    assert list(found.tags) == ["nlp", "sentiment-analysis"]
    assert (found.input_schema, found.output_schema) == (INPUT, OUTPUT)


def test_versions_compare_and_constraints_choose() -> None:
    texts = ["1.0.0-rc.1", "1.0.0", "1.2.0+build.7", "1.10.0", "2.0.0"]
    versions = [ModelVersion.parse(text) for text in texts]
    assert sorted(reversed(versions)) == versions
    assert versions[2].bump("minor") == ModelVersion(1, 3, 0)
    assert versions[3].satisfies("^1.2")
    chosen = VersionConstraint.parse("^1.0.0-rc.0 <1.10").select(versions)
    assert list(map(str, chosen)) == ["1.0.0-rc.1", "1.0.0", "1.2.0+build.7"]


def test_the_life_of_a_model(
    registry: ModelRegistry, data: pd.DataFrame, model: LogisticRegression
) -> None:
    features = data[["b", "a", "c"]]
    for expected in ("1.0.0", "1.0.1"):
        taken, given = infer_schemas(model, features)
        metadata = registry.register_model(
            "delays",
            "classification",
            "sklearn",
            input_schema=taken,
            output_schema=given,
            metrics={"auc": 0.75},
            datasets=[DatasetRef(name="flights", digest="sha256:ab", rows=len(data))],
        )
        assert str(metadata.version) == expected
        registry.save_model("delays", metadata.version, model, reference=features)
    registry.transition("delays", "1.0.0", "production", actor="ann", reason="first")
    registry.transition("delays", "1.0.1", "production", actor="ann", reason="fresh")
    assert str(registry.resolve("delays", "production")) == "1.0.1"
    registry.rollback("delays", actor="bob", reason="alarm")
    assert str(registry.get_metadata("delays").version) == "1.0.0"
    registry.set_alias("delays", "champion", "1.0.1", actor="bob", reason="test")
    np.testing.assert_array_equal(
        registry.load_model("delays", "champion").predict(features),
        model.predict(features),
    )
    stages = {str(v.version): v.stage for v in registry.list_versions("delays")}
    assert stages == {"1.0.0": "production", "1.0.1": "archived"}
    assert [r.actor for r in registry.stage_history("delays")][-1] == "bob"
    registry.update("delays", "1.0.0", description="Late flights", owner="ops")
    registry.log_metrics("delays", "1.0.0", {"f1": 0.5})
    found = registry.get_metadata("delays", "1.0.0")
    assert (found.description, found.owner) == ("Late flights", "ops")
    assert found.metrics == {"auc": 0.75, "f1": 0.5}
    registry.verify("delays", "1.0.0")
    ids = {node.id for node in registry.lineage("delays", "1.0.0").upstream()}
    assert "dataset:flights@sha256:ab" in ids
    registry.delete_version("delays", "1.0.1", actor="bob", reason="not needed")
    assert registry.recover() == []
    with pytest.raises(VersionExistsError):
        registry.save_model("delays", "1.0.0", model)


def test_an_evaluation_and_its_report(
    registry: ModelRegistry, data: pd.DataFrame, model: LogisticRegression
) -> None:
    metadata = registry.register_model("delays", "classification", "sklearn")
    registry.save_model(metadata.name, metadata.version, model)
    evaluator = ModelEvaluator(registry)
    result = evaluator.evaluate(
        model_name="delays",
        version="1.0.0",
        dataset=data,
        metrics=["accuracy", "precision", "recall", "f1"],
        target="label",
    )
    assert f"{result.model_name} v{result.version}" == "delays v1.0.0"
    expected = float((model.predict(data[["b", "a", "c"]]) == data["label"]).mean())
    assert result.metrics["accuracy"] == pytest.approx(expected)
    assert set(result.metrics) == {"accuracy", "precision", "recall", "f1"}
    report = evaluator.generate_report(
        model_name="delays", version="1.0.0", output_format="markdown"
    )
    assert "accuracy" in report
    assert registry.get_metadata("delays").metrics["accuracy"] == pytest.approx(
        expected
    )


@pytest.fixture
def deployer(
    registry: ModelRegistry, storage: LocalStorageNode
) -> Iterator[ModelDeployer]:
    found = ModelDeployer(registry, storage)
    yield found
    for name in found.list():
        found.delete(str(name))


def test_a_deployment_that_answers(
    registry: ModelRegistry,
    data: pd.DataFrame,
    model: LogisticRegression,
    deployer: ModelDeployer,
) -> None:
    features = data[["b", "a", "c"]]
    metadata = registry.register_model("delays", "classification", "sklearn")
    registry.save_model(metadata.name, metadata.version, model, input_example=features)
    wanted: dict[str, Any] = {
        "model_name": "delays",
        "version": "1.0.0",
        "name": "delays-prod",
        "replicas": 1,
        "env_vars": {"LOG_LEVEL": "INFO", "MAX_BATCH_SIZE": "32"},
        "autoscaling": {
            "min_replicas": 1,
            "max_replicas": 5,
            "target_cpu_utilization": 70,
        },
    }
    greedy = {"cpu": "1", "memory": "2Gi", "gpu": 4096}
    success, message = deployer.deploy(**wanted, resources=greedy)
    assert not success
    assert "4096" in message
    success, message = deployer.deploy(
        **wanted, resources={"cpu": "1", "memory": "2Gi"}
    )
    assert success, message
    endpoint = deployer.get_endpoint("delays-prod")
    with urllib.request.urlopen(f"{endpoint}/v2/health/ready", timeout=10) as answer:
        assert answer.status == 200
    row = json.loads(features.head(1).to_json(orient="records"))
    request = urllib.request.Request(
        f"{endpoint}/predict",
        data=json.dumps(row).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
        text = answer.read().decode()
    assert str(int(model.predict(features.head(1))[0])) in text
    graph = registry.lineage("delays", "1.0.0")
    assert "deployment:delays-prod" in {node.id for node in graph.downstream()}
