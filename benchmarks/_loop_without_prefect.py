"""Run as a script: what the flows from training.completed to deployed do, called plainly.

``python _loop_without_prefect.py JOB_FILE``: one process, one step after the other, the
same calls of the package with the same arguments; prints how long each step took.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from brixa_flows.deployment import ModelDeployer
from brixa_flows.evaluation import Gate, GatePolicy, ModelEvaluator
from brixa_flows.prediction import learn_performance
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage import open_storage

METRICS = ["roc_auc", "average_precision", "log_loss", "accuracy"]
POLICY = GatePolicy([Gate("roc_auc", min=0.5)])


def run(job: dict[str, Any]) -> dict[str, float]:
    """Register, judge, promote, serve; seconds of each."""
    name, target = job["name"], job["target"]
    times = {}
    began = time.perf_counter()

    def lap(step: str) -> None:
        nonlocal began
        times[step] = time.perf_counter() - began
        began = time.perf_counter()

    registry = ModelRegistry(
        open_storage(job["storage"]), tracking_uri=job["tracking_uri"]
    )
    metadata = registry.register_run(
        job["model_uri"],
        name=name,
        model_type="tabular-classification",
        reference=job["reference_uri"],
        target=target,
        once=True,
    )
    version = str(metadata.version)
    registry.lineage(name, version)
    lap("register")

    evaluator = ModelEvaluator(registry)
    holders = registry.list_versions(name, stage="production")
    comparison = None
    for dataset in job["evaluations"]:
        asked = {"dataset": dataset["uri"], "metrics": METRICS, "target": target}
        result = evaluator.evaluate(
            model_name=name,
            version=version,
            dataset_name=dataset["name"],
            record=False,
            **asked,
        )
        evaluator.keep(result)
        if dataset is job["evaluations"][-1] and holders:
            comparison = evaluator.compare(
                model_name=name,
                baseline=str(holders[0].version),
                candidate=version,
                **asked,
            )
    learn_performance(
        registry,
        name,
        version,
        dataset["uri"],
        target=target,
        dataset_name=dataset["name"],
    )
    lap("evaluate")

    registry.evaluations(name, version)
    if not POLICY.decide(result, comparison).allowed:
        raise SystemExit("the policy of this benchmark refuses nothing")
    registry.lineage(name, version)
    registry.transition(name, version, "production", reason="measured")
    lap("promote")

    done, said = ModelDeployer(registry).deploy(name, version, f"{name}-production")
    if not done:
        raise SystemExit(said)
    lap("deploy")
    return times


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
