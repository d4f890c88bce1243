"""How good a served version is: learned at its evaluation, judged window by window."""

from __future__ import annotations

from typing import NamedTuple

from prefect import get_run_logger

from brixa_flows.drift import DriftPolicy, DriftVerdict, JudgedWindow, PerformanceReport
from brixa_flows.errors import DatasetError, DriftError
from brixa_flows.events import EvaluationDataset, LabelsArrived
from brixa_flows.outbox import (
    Owed,
    announces,
    find_record,
    judged_performance,
    owed_by_record,
)
from brixa_flows.prediction import (
    WindowPerformance,
    judge_performance,
    learn_performance,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.opening import load_drift_policy, open_registry
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tasks.windows import log_window, logged_rows

__all__ = ["PerformanceFindings", "judge_window_performance", "learn_estimator"]


class PerformanceFindings(NamedTuple):
    """How good the version was, whether it is an alarm, and the event that is owed."""

    report: PerformanceReport
    verdict: DriftVerdict
    owed: Owed


@remote_task("learn from {dataset.name} how good {version} is", timeout_seconds=None)
def learn_estimator(
    registry: str, name: str, version: str, dataset: EvaluationDataset, target: str
) -> bool:
    """Learn an estimator of a version's performance, and keep it with the version.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        dataset: Labelled rows that it was not trained on.
        target: Column of the label; empty if it is plain.

    Returns:
        Whether there is one; some rows and models can't teach any, which is no failure.
    """
    logger = get_run_logger()
    try:
        record = learn_performance(
            open_registry(registry),
            name,
            version,
            dataset.uri,
            target=target or None,
            dataset_name=dataset.name,
        )
    except (DatasetError, DriftError) as err:
        logger.warning("performance of %s %s stays unknown: %s", name, version, err)
        return False
    logger.info("estimator %d of %s %s", record["number"], name, version)
    return True


@remote_task(
    "judge {version} in the {window.kind} from {window.start}", timeout_seconds=None
)
def judge_window_performance(
    registry: str,
    version: str,
    window: LabelsArrived,
    policy: str = "",
    seen: WindowPerformance | None = None,
) -> PerformanceFindings | None:
    """Say how good a version was in a window and record it.

    What was found before is recorded no second time.

    Args:
        registry: Name of the registry's block.
        version: The version that served the window.
        window: Its rows and times, and its labels if they are known.
        policy: Name of the drift policy's block, whose windows, cooldown and response
            count here too; without one every degraded window is an alarm.
        seen: How good it was, if whoever asked it has told already.

    Returns:
        ``None`` if no estimator was learned for the version.

    Raises:
        DatasetError: If the rows don't fit the version.
        DriftError: If a column is absent, or the times are none.
    """
    opened, rules = open_registry(registry), load_drift_policy(policy)
    found = seen or _judged(opened, version, window)
    if found is None:
        get_run_logger().warning(
            "nobody learned how good %s %s is, so nothing is judged; run evaluate_model, "
            "or brixa performance learn, with labelled rows",
            window.name,
            version,
        )
        return None
    report = found.report
    verdict = _judge(opened, version, window, report, rules)
    event = announces(
        judged_performance(window, version, report, verdict, rules.response)
    )
    record = find_record(opened.performance_reports(window.name, version), event)
    if record is None:
        keys = {"deployment", "start", "end", "data_uri", "labels_uri"}
        facts = {
            **report.to_dict(),
            "labelled": found.labelled,
            "window_rows": found.rows,
            "alarm": verdict.alarm,
            "verdict": verdict.sentence,
            "window": window.kind,
            **window.model_dump(include=keys),
            **event,
        }
        how = "measured" if report.realised else "estimated"
        values = {f"{how}/{n}": each.value for n, each in report.metrics.items()}
        log_window(opened, version, window, values)
        record = opened.record_performance(window.name, version, facts)
    get_run_logger().info("%s It is %s.", report.sentence, verdict.sentence)
    return PerformanceFindings(report, verdict, owed_by_record(record))


def _judged(
    registry: ModelRegistry, version: str, window: LabelsArrived
) -> WindowPerformance | None:
    ids = [window.row_id] if window.row_id else []
    return judge_performance(
        registry,
        window.name,
        version,
        window.data_uri or logged_rows(registry, version, window, ids),
        labels=window.labels_uri or None,
        row_id=window.row_id or None,
    )


def _judge(
    registry: ModelRegistry,
    version: str,
    window: LabelsArrived,
    report: PerformanceReport,
    rules: DriftPolicy,
) -> DriftVerdict:
    place = (window.deployment, window.kind, window.start, window.end)
    found = JudgedWindow.of(*place, drifted=report.status == "degraded")
    records = (
        registry.performance_reports(window.name, version) if rules.looks_back else []
    )
    alike = [each for each in records if each.get("realised") == report.realised]
    earlier = [each for each in map(JudgedWindow.from_record, alike) if each]
    return rules.judge(found, earlier)
