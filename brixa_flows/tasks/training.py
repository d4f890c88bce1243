"""Registers what a training makes: around a flow, a task, a function or a block of code.

::

    @flow
    @registers_model("churn", policy="strict", target="churned")
    def train(rows: str) -> None:
        training = current_training()
        training.log_dataset(rows, reference=True)
        ...
        training.model = mlflow.sklearn.log_model(fitted, name="model")

When it ends well, ``brixa.training.completed`` is announced with all that went in; one
that fails announces nothing.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar, cast

from prefect import Flow, State, Task, runtime
from prefect.logging import get_logger
from prefect.settings import get_current_settings

from brixa_flows.errors import (
    DatasetError,
    ModelNotLoggedError,
    OrchestrationError,
    PrefectUnavailableError,
)
from brixa_flows.events import DEFAULT_POLICY, EvaluationDataset, TrainingCompleted
from brixa_flows.outbox import Outbox
from brixa_flows.prediction import as_batches
from brixa_flows.refs import check_model_name, check_policy_name
from brixa_flows.registry import DatasetRef, ModelRegistry
from brixa_flows.registry.facts.inputs import as_json_object
from brixa_flows.serializers import environment_of
from brixa_flows.tasks.adopting import only_logged_model
from brixa_flows.tasks.announcing import announce_whole, commit_here, deliver_kept
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tracking.limits import check_metrics

__all__ = ["Training", "TrainingRegistration", "current_training", "registers_model"]

_PYFUNC = "python_function"
_SET_MODEL = (
    "set training.model to what mlflow.*.log_model returned, or to its address "
    "(runs:/RUN_ID/NAME, models:/MODEL_ID), or name the experiment where to look for it"
)
_CURRENT: ContextVar[Training] = ContextVar("brixa_training")
_Trained = TypeVar("_Trained", bound=Callable[..., Any])


@dataclass
class Training:
    """What a training says of itself while it runs.

    Attributes:
        name: Model that gets a new version.
        registry: Where it is registered.
        model: What it made: what ``log_model`` of MLflow returned, or the address.
        experiment: Where to look for the model that it logged, if it names none.
        model_type: What the model does, in your words; asked of the model if empty.
        framework: ``sklearn``, ``pytorch`` ...; told by the logged model if empty.
        description: Free text for the version.
        target: Column of the label.
        policy: Block of the gate policy that decides about production.
        began: When it began.
    """

    name: str
    registry: ModelRegistry
    model: Any = None
    model_type: str = ""
    framework: str = ""
    description: str = ""
    target: str = ""
    policy: str = DEFAULT_POLICY
    experiment: str = ""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _hyperparameters: dict[str, Any] = field(default_factory=dict)
    _metrics: dict[str, float] = field(default_factory=dict)
    _datasets: list[DatasetRef] = field(default_factory=list)
    _evaluations: list[EvaluationDataset] = field(default_factory=list)
    _reference_uri: str = ""

    @property
    def tracking_uri(self) -> str:
        """Where MLflow is to log: ``mlflow.set_tracking_uri(training.tracking_uri)``."""
        return self.registry.tracking.uri

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Say how it is trained, besides what its MLflow run says; values are JSON.

        Raises:
            InvalidMetadataError: If a value is no JSON; names it.
        """
        self._hyperparameters |= as_json_object("hyperparameters", params)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Say what it measured, besides what its MLflow run says.

        Raises:
            InvalidMetadataError: If a name or value can't be kept.
        """
        measured = {name: float(value) for name, value in metrics.items()}
        check_metrics(measured)
        self._metrics |= measured

    def log_dataset(
        self,
        data: Any,
        name: str | None = None,
        *,
        role: Literal["training", "validation", "evaluation"] = "training",
        reference: bool = False,
    ) -> DatasetRef:
        """Say which data it uses; they are read once, for their digest.

        Args:
            data: A Parquet or CSV path, a DataFrame, arrays; or a ``DatasetRef``, which
                is not read.
            name: What people call them; else told by their path or type.
            role: ``evaluation`` for labelled rows that it does not see: the version is
                judged on them, and the last ones decide.
            reference: Later traffic is compared with these rows.

        Returns:
            The data as lineage knows them.

        Raises:
            DatasetError: If they can't be read, or have no address where the flows that
                follow need one.
        """
        found = data if isinstance(data, DatasetRef) else self._read(data, name, role)
        if (reference or role == "evaluation") and not found.uri:
            raise DatasetError(
                f"the rows {found.name!r} are in no file, so that no later flow can "
                "read them; write them to Parquet and give its path"
            )
        if reference:
            self._reference_uri = found.uri
        if role == "evaluation":
            evaluation = EvaluationDataset(name=found.name, uri=found.uri)
            self._evaluations.append(evaluation)
        else:
            self._datasets.append(found)
        return found

    def _read(self, data: Any, name: str | None, role: str) -> DatasetRef:
        if isinstance(data, str | Path) and "://" not in str(data):
            data = str(Path(data).absolute())  # the flows that follow run elsewhere
        batches = as_batches(data, name=name, labelled=False)
        return batches.reference(role)

    def completed(self) -> TrainingCompleted:
        """The announcement.

        Raises:
            ModelNotLoggedError: If there is no address of a logged model.
            ModelsAmbiguousError: If it logged several and named none.
        """
        uri, run_id = self._made()
        flavors = [*getattr(self.model, "flavors", ())]
        framework = self.framework or next((f for f in flavors if f != _PYFUNC), "")
        return TrainingCompleted(
            name=self.name,
            model_uri=uri,
            framework=framework,
            model_type=self.model_type,
            description=self.description,
            hyperparameters=self._hyperparameters,
            metrics=self._metrics,
            datasets=[each.model_dump(mode="json") for each in self._datasets],
            reference_uri=self._reference_uri,
            evaluations=self._evaluations,
            target=self.target,
            run_id=run_id,
            flow_run_id=str(runtime.flow_run.id or ""),
            git_commit=commit_here(),
            environment=environment_of(None, framework),
            policy=self.policy,
        )

    def _made(self) -> tuple[str, str]:
        """Address of the model, and id of its run if that is known."""
        training = f"the training of {self.name}"
        if self.model is None and self.experiment:
            found = only_logged_model(
                self.registry.tracking,
                self.experiment,
                self.began,
                datetime.now(UTC),
                training,
            )
            return found.uri, found.run_id
        uri = getattr(self.model, "model_uri", self.model)
        if not isinstance(uri, str) or not uri:
            kind = "" if uri is None else f"{type(self.model).__name__} is none: "
            raise ModelNotLoggedError(training, kind + _SET_MODEL)
        runs = (getattr(self.model, key, None) for key in ("run_id", "source_run_id"))
        return uri, next(filter(None, runs), "")


def current_training() -> Training:
    """The training that this code is part of, in tasks that it submits too.

    Raises:
        OrchestrationError: If there is none.
    """
    training = _CURRENT.get(None)
    if training is None:
        raise OrchestrationError(
            "this code is part of no training; call it from a function with "
            "@registers_model(NAME), or inside of `with registers_model(NAME)`"
        )
    return training


@dataclass
class TrainingRegistration:
    """What :func:`registers_model` gives: a decorator, and a context manager."""

    name: str
    facts: dict[str, Any]
    registry: str | ModelRegistry
    _entered: list[tuple[Training, Token[Training]]] = field(default_factory=list)

    def __enter__(self) -> Training:
        training = self._begin()
        self._entered.append((training, _CURRENT.set(training)))
        return training

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        training, token = self._entered.pop()
        _CURRENT.reset(token)
        if kind is None:
            self._announce(training)

    def __call__(self, trained: _Trained) -> _Trained:
        """Around a flow, a task or a function, async ones too.

        Raises:
            OrchestrationError: If it is a generator, which ends whenever its reader likes.
        """
        if isinstance(trained, Flow | Task):
            changed = copy.copy(trained)
            changed.fn = self._around(trained.fn)
            return cast(_Trained, changed)
        return cast(_Trained, self._around(trained))

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(
            function
        ):
            raise OrchestrationError(
                f"{function.__name__} is a generator, so nobody knows when its training "
                "is over; use `with registers_model(NAME)` in it"
            )

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            training = self._begin()
            with _as_current(training):
                result = function(*args, **kwargs)
            if _ended_well(result):
                self._announce(training)
            return result

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            training = await asyncio.to_thread(self._begin)
            with _as_current(training):
                result = await function(*args, **kwargs)
            if _ended_well(result):
                await asyncio.to_thread(self._announce, training)
            return result

        return call_async if inspect.iscoroutinefunction(function) else call

    def _begin(self) -> Training:
        """Whatever can't be is told now, and not when hours of training are over."""
        registry = self.registry
        opened = open_registry(registry) if isinstance(registry, str) else registry
        Outbox(opened).begin()
        return Training(self.name, opened, **self.facts)

    def _announce(self, training: Training) -> None:
        """Let the loop know, or keep it for `reconcile` while the server is away."""
        event = training.completed()
        event_id = event.event_id(event.model_uri)
        outbox = Outbox(training.registry)
        try:
            if isinstance(self.registry, str) and runtime.flow_run.id:
                announce_whole(self.registry, event, event_id)
            elif get_current_settings().api.url:
                deliver_kept(outbox, event, event_id)
            else:
                outbox.put(event_id, event)
        except PrefectUnavailableError as err:
            get_logger("brixa").warning("the event waits for `reconcile`: %s", err)


def registers_model(
    name: str,
    *,
    model_type: str = "",
    framework: str = "",
    description: str = "",
    target: str = "",
    policy: str = DEFAULT_POLICY,
    experiment: str = "",
    registry: str | ModelRegistry = "brixa",
) -> TrainingRegistration:
    """Register what a training makes as the next version of a model.

    Put it on a flow, a task or a function, or around code (``with ... as training``).
    Git commit, flow run and installed packages are recorded; parameters, metrics and
    data sets of the MLflow run of the model too, and what the training logs itself.
    The event is kept in the registry's storage before it is sent: where Prefect is
    away or not used at all, the flow ``reconcile`` delivers it.

    Args:
        name: The model.
        model_type: What it does, in your words; asked of the model if empty.
        framework: ``sklearn``, ``pytorch`` ...; told by the logged model if empty.
        description: Free text for the version.
        target: Column of the label in the rows that judge it.
        policy: Block of the gate policy that decides about production.
        experiment: MLflow experiment where the one model is looked for that was logged
            meanwhile, if the training sets no ``training.model`` (autolog, old code).
        registry: A Brixa Registry block, or a registry, which needs no Prefect server.

    Raises:
        InvalidNameError: If a model or a policy can't have that name.
    """
    facts = {
        "model_type": model_type,
        "framework": framework,
        "description": description,
        "target": target,
        "policy": check_policy_name(policy),
        "experiment": experiment,
    }
    return TrainingRegistration(check_model_name(name), facts, registry)


@contextmanager
def _as_current(training: Training) -> Iterator[None]:
    token = _CURRENT.set(training)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def _ended_well(result: object) -> bool:
    """A flow may say that it failed by the state that it returns."""
    return not isinstance(result, State) or result.is_completed()
