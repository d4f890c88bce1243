"""Reads and checks ``brixa.toml``: trainings that do not import us, and their models.

::

    [[training]]
    flow = "train-churn"        # a flow of prefect.yaml, by its name
    experiment = "churn"        # where it logs its model in MLflow
    model = "churn"             # the model that gets a new version
    policy = "strict"           # who decides about production
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from prefect import Flow
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from brixa_flows.errors import OrchestrationError, some_of
from brixa_flows.events import DEFAULT_POLICY, EvaluationDataset
from brixa_flows.refs import check_model_name, check_policy_name
from brixa_flows.tasks.announcing import announce_training_complete
from brixa_flows.tasks.opening import load_policy
from brixa_flows.tasks.project_file import flows_of
from brixa_flows.tasks.training import registers_model

__all__ = [
    "FILE",
    "OWN_FLOWS",
    "TrainingRule",
    "check_training_rules",
    "read_training_rules",
]

FILE = "brixa.toml"
_OTHER_WAYS = (announce_training_complete, registers_model)
# A rule for one of these would register twice, or start itself for ever.
OWN_FLOWS = frozenset(
    {
        "adopt_training",
        "close_windows",
        "deploy_model",
        "evaluate_model",
        "evaluate_versions",
        "monitor_drift",
        "monitor_performance",
        "predict_batch",
        "promote_model",
        "reconcile",
        "refuse_undecided",
        "register_model",
        "retrain",
        "roll_back",
        "soak_model",
        "tell",
        "train",
    }
)
_Text = Annotated[str, Field(min_length=1)]


class TrainingRule(BaseModel):
    """Which model a run of a flow makes, and what follows from it.

    Attributes:
        flow: Name of the flow, as Prefect shows it.
        experiment: MLflow experiment that it logs its model to.
        model: Model that gets a new version.
        policy: Block of the gate policy that decides about production.
        model_type: What the model does; asked of the model if empty.
        target: Column of the label in the rows that judge it.
        evaluations: Labelled rows that it does not see; the last ones decide.
        reference_uri: Parquet of training rows; becomes the drift profile.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flow: _Text
    experiment: _Text
    model: Annotated[str, AfterValidator(check_model_name)]
    policy: Annotated[str, AfterValidator(check_policy_name)] = DEFAULT_POLICY
    model_type: str = ""
    target: str = ""
    evaluations: tuple[EvaluationDataset, ...] = ()
    reference_uri: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    training: tuple[TrainingRule, ...] = ()


def check_training_rules(folder: Path) -> int:
    """Check ``brixa.toml`` in a folder against the ``prefect.yaml`` beside it.

    Returns:
        How many trainings it names; 0 if there is none.

    Raises:
        OrchestrationError: If it has faults; names the first few.
    """
    rules = read_training_rules(folder)
    faults = [*_faults_of(rules, folder)]
    if faults:
        raise OrchestrationError(
            f"{folder / FILE}: " + "; ".join(faults[:5]), faults=faults
        )
    return len(rules)


def read_training_rules(folder: Path) -> tuple[TrainingRule, ...]:
    """The rules of the ``brixa.toml`` in a folder; none if there is no such file.

    Raises:
        OrchestrationError: If it can't be read, or has a key or value that can't be.
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    try:
        return _File.model_validate(tomllib.loads(path.read_text())).training
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as err:
        raise OrchestrationError(f"{path} can't be read: {err}") from err
    except ValidationError as err:
        faults = [_sentence(fault) for fault in err.errors()]
        raise OrchestrationError(
            f"{path}: " + "; ".join(faults[:5]), faults=faults
        ) from err


def _sentence(fault: Any) -> str:
    """A fault as pydantic tells it, with its place: ``training 2, evaluations 1``."""
    *above, key = fault["loc"]
    parts = [f" {part + 1}" if isinstance(part, int) else f", {part}" for part in above]
    where = "".join(parts).removeprefix(", ") or "the file"
    if fault["type"] == "extra_forbidden":
        names = [part for part in above if isinstance(part, str)]
        known = _KINDS[names[-1] if names else ""].model_fields
        return f"{where} has an unknown key {key!r}; known: {', '.join(known)}"
    if fault["type"] == "missing":
        return f"{where} lacks {key!r}"
    return f"{where}, {key!r}: {fault['msg'].removeprefix('Value error, ')}"


_KINDS: dict[str, type[BaseModel]] = {
    "": _File,
    "training": TrainingRule,
    "evaluations": EvaluationDataset,
}


def _faults_of(rules: tuple[TrainingRule, ...], folder: Path) -> Iterator[str]:
    deployed = flows_of(folder) if rules else {}
    seen: set[tuple[str, str]] = set()
    for rule in rules:
        if rule.flow in OWN_FLOWS:
            yield (
                f"the flow {rule.flow!r} is one of Brixa Flows, which announces its "
                "models itself; name a training flow of your own"
            )
        elif rule.flow not in deployed:
            yield (
                f"there is no flow {rule.flow!r} in prefect.yaml; it has: "
                f"{some_of(sorted(deployed.keys() - OWN_FLOWS))}"
            )
        elif _announces_itself(deployed[rule.flow]):
            yield (
                f"the flow {rule.flow!r} announces its models itself, so that one would "
                "be registered twice; remove its entry, or the call in its file"
            )
        if (rule.flow, rule.experiment) in seen:
            yield (
                f"the flow {rule.flow!r} has two entries for the experiment "
                f"{rule.experiment!r}; one model would be registered twice"
            )
        seen.add((rule.flow, rule.experiment))
        yield from _policy_faults(rule.policy, folder)


def _announces_itself(flow: Flow[..., Any]) -> bool:
    """Whether its file has one of the other ways at hand."""
    there = inspect.unwrap(flow.fn).__globals__.values()
    return any(each is way for each in there for way in _OTHER_WAYS)


def _policy_faults(policy: str, folder: Path) -> Iterator[str]:
    """Nothing if it is a file of the project, or a block that the server has."""
    if (folder / "blocks" / "policies" / f"{policy}.yaml").is_file():
        return
    try:
        load_policy(policy)
    except OrchestrationError as err:
        yield (
            f"the policy {policy!r} is no file of blocks/policies, and no block: {err}"
        )
