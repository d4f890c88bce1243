"""Gates: what a version must show before it may go on, kept as data.

``min`` and ``max`` judge the value itself. ``not_worse_than`` and ``better_than``
judge the bound of the 95 % interval of the difference to the version in production on
the same rows: few rows or noisy ones don't open a gate. While nothing is in production
there is nothing to be worse than: these two pass, and say so.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.compare import Comparison, MetricComparison
from brixa_flows.evaluation.metrics import METRICS, canonical_metric, no_such_metric
from brixa_flows.evaluation.results import EvaluationResult

__all__ = ["Gate", "GateDecision", "GateOutcome", "GatePolicy"]


@contextmanager
def _as_evaluation_error(where: str) -> Iterator[None]:
    """Say pydantic's list of faults in one sentence."""
    try:
        yield
    except ValidationError as err:
        faults = "; ".join(_fault(fault) for fault in err.errors())
        raise EvaluationError(f"{where} {faults}") from err


def _fault(fault: Mapping[str, Any]) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"has an unknown key {place!r}"
    if place == "gates":
        return (
            "needs a list of at least one gate, such as Gate('f1', min=0.8) or "
            "{'metric': 'f1', 'min': 0.8}"
        )
    if fault["type"] == "string_too_short":
        return f"has an empty {place}; give it a name"
    return f"{place}: {message}" if place else message


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Gate(_Data):
    """One condition on one metric.

    Args:
        metric: Its name; ``auc`` is ``roc_auc``.
        **conditions: The fields below.

    Raises:
        EvaluationError: If the conditions make no gate; says which and what to write.
    """

    metric: str = Field(min_length=1, description="Name; auc is roc_auc.")
    min: float | None = Field(None, description="The value must be at least this.")
    max: float | None = Field(None, description="The value must be at most this.")
    not_worse_than: Literal["production"] | None = Field(
        None, description="The loss against it is surely at most the margin."
    )
    better_than: Literal["production"] | None = Field(
        None, description="The gain over it is surely more than the margin."
    )
    margin: float = Field(0.0, ge=0, description="In units of the metric.")

    def __init__(self, metric: str = "", **conditions: Any) -> None:
        with _as_evaluation_error(f"the gate on {metric!r}"):
            BaseModel.__init__(self, metric=metric, **conditions)

    @model_validator(mode="after")
    def _makes_sense(self) -> Gate:
        if self.min is None and self.max is None and not self.is_relative:
            raise ValueError(
                "has no condition; give min=, max=, not_worse_than='production' or "
                "better_than='production'"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"has min {self.min} above max {self.max}; swap them")
        if self.margin and not self.is_relative:
            raise ValueError("has a margin but nothing to compare with; drop margin=")
        return self

    @property
    def is_relative(self) -> bool:
        """Whether it compares with production."""
        return bool(self.not_worse_than or self.better_than)

    def __str__(self) -> str:
        margin = f" by {self.margin:g}" if self.margin else ""
        parts = [
            f">= {self.min:g}" if self.min is not None else "",
            f"<= {self.max:g}" if self.max is not None else "",
            f"not worse than {self.not_worse_than}{margin}" * bool(self.not_worse_than),
            f"better than {self.better_than}{margin}" * bool(self.better_than),
        ]
        return f"{self.metric} " + " and ".join(part for part in parts if part)


@dataclass(frozen=True)
class GateOutcome:
    """What one gate said.

    Attributes:
        gate: The gate.
        passed: Whether it lets the version through.
        sentence: Why, with the numbers.
    """

    gate: Gate
    passed: bool
    sentence: str


@dataclass(frozen=True)
class GateDecision:
    """What a policy said about a version.

    Attributes:
        policy: Name of the policy.
        model_name: The model.
        version: Its version, as text.
        gates: What each gate said, in order.
        production: Who was in production then, ``None`` for nobody.
    """

    policy: str
    model_name: str
    version: str
    gates: tuple[GateOutcome, ...]
    production: str | None = None

    @property
    def allowed(self) -> bool:
        """Whether every gate passed."""
        return all(outcome.passed for outcome in self.gates)

    @property
    def reasons(self) -> list[str]:
        """Sentences of the gates that said no."""
        return [outcome.sentence for outcome in self.gates if not outcome.passed]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "policy": self.policy,
            "model_name": self.model_name,
            "version": self.version,
            "allowed": self.allowed,
            "production": self.production,
            "gates": [
                {
                    "gate": outcome.gate.model_dump(exclude_defaults=True),
                    "passed": outcome.passed,
                    "sentence": outcome.sentence,
                }
                for outcome in self.gates
            ],
        }

    def to_markdown(self) -> str:
        """A heading with the decision and a table of the gates."""
        word = "allowed" if self.allowed else "refused"
        lines = [
            f"## {self.model_name} {self.version}: {word} by the policy {self.policy}",
            "",
            "| gate | passed | why |",
            "|---|---|---|",
        ]
        lines += [
            f"| {outcome.gate} | {'yes' if outcome.passed else 'no'} "
            f"| {outcome.sentence} |"
            for outcome in self.gates
        ]
        return "\n".join(lines) + "\n"


class GatePolicy(_Data):
    """A named list of gates, all of which must pass.

    Args:
        gates: The gates, or mappings with their fields.
        name: What people call the policy.

    Raises:
        EvaluationError: If there is no gate, or one is none; says which.
    """

    name: str = Field("policy", min_length=1)
    gates: tuple[Gate, ...] = Field(min_length=1)

    def __init__(
        self,
        gates: Iterable[Gate | Mapping[str, Any]],
        name: str = "policy",
        **unknown: Any,
    ) -> None:
        with _as_evaluation_error(f"the gate policy {name!r}"):
            BaseModel.__init__(self, gates=gates, name=name, **unknown)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that its gates judge, each once."""
        return list(dict.fromkeys(canonical_metric(gate.metric) for gate in self.gates))

    @property
    def needs_comparison(self) -> bool:
        """Whether a gate compares with production."""
        return any(gate.is_relative for gate in self.gates)

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> GatePolicy:
        """Read ``{"name": ..., "gates": [{"metric": "f1", "min": 0.8}, ...]}``.

        Raises:
            EvaluationError: If it is no policy; says where.
        """
        if not isinstance(payload, Mapping) or "gates" not in payload:
            raise EvaluationError(
                "a gate policy is a mapping with a list 'gates', such as "
                "{'name': 'promotion', 'gates': [{'metric': 'f1', 'min': 0.8}]}"
            )
        return cls(**payload)

    @classmethod
    def from_file(cls, path: str | Path) -> GatePolicy:
        """Read a policy from a YAML, TOML or JSON file.

        Raises:
            EvaluationError: If it can't be read; names the file and the place.
        """
        file = Path(path)
        read = _READERS.get(file.suffix.lower())
        if read is None:
            raise EvaluationError(
                f"{file} is no gate policy: its name must end in "
                f"{', '.join(sorted(_READERS))}"
            )
        try:
            return cls.from_dict(read(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, yaml.YAMLError) as err:
            raise EvaluationError(f"{file} can't be read as a policy: {err}") from err

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, which :meth:`from_dict` reads back."""
        gates = [gate.model_dump(exclude_defaults=True) for gate in self.gates]
        return {"name": self.name, "gates": gates}

    def decide(
        self, result: EvaluationResult, comparison: Comparison | None = None
    ) -> GateDecision:
        """Judge a version.

        Args:
            result: Its evaluation.
            comparison: Of it as the candidate with production as the baseline;
                ``None`` while nothing is in production.

        Raises:
            EvaluationError: If the comparison is of another candidate.
        """
        if comparison is not None and (
            comparison.model_name != result.model_name
            or comparison.candidate != result.version
        ):
            raise EvaluationError(
                f"the evaluation is of {result.model_name} {result.version}, but the "
                f"comparison of {comparison.model_name} {comparison.candidate}; give "
                "both of one version"
            )
        outcomes = (_judge(gate, result, comparison) for gate in self.gates)
        return GateDecision(
            self.name,
            result.model_name,
            str(result.version),
            tuple(outcomes),
            result.production,
        )


_READERS: dict[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".toml": tomllib.loads,
    ".yaml": yaml.safe_load,
    ".yml": yaml.safe_load,
}


def _judge(
    gate: Gate, result: EvaluationResult, comparison: Comparison | None
) -> GateOutcome:
    measured = {**result.metrics, **(comparison.metrics if comparison else {})}
    if canonical_metric(gate.metric) not in {*METRICS, *measured}:
        return GateOutcome(gate, False, _unknown(gate.metric, result, measured))
    parts = []
    if gate.min is not None or gate.max is not None:
        parts.append(_judge_value(gate, result))
    if gate.is_relative:
        parts.append(_judge_difference(gate, result, comparison))
    passed = all(part for part, _ in parts)
    return GateOutcome(gate, passed, "; ".join(sentence for _, sentence in parts))


def _judge_value(gate: Gate, result: EvaluationResult) -> tuple[bool, str]:
    name = canonical_metric(gate.metric)
    if name not in result.metrics:
        return False, _not_measured(gate.metric, "evaluated", result.metrics)
    value = result.metrics[name]
    facts = f"{gate.metric} is {value:.4f} on {result.rows} rows"
    if gate.min is not None and value < gate.min:
        return False, f"{facts}, below the least allowed {gate.min:g}"
    if gate.max is not None and value > gate.max:
        return False, f"{facts}, above the most allowed {gate.max:g}"
    limits = [
        f"at least {gate.min:g}" if gate.min is not None else "",
        f"at most {gate.max:g}" if gate.max is not None else "",
    ]
    return True, f"{facts}, {' and '.join(filter(None, limits))} as asked"


def _judge_difference(
    gate: Gate, result: EvaluationResult, comparison: Comparison | None
) -> tuple[bool, str]:
    if comparison is None:
        return _without_comparison(gate, result)
    if result.production not in (None, str(comparison.baseline)):
        return False, (
            f"{gate.metric} was compared with {comparison.baseline}, but "
            f"{result.production} is in production: compare with that one"
        )
    name = canonical_metric(gate.metric)
    if name not in comparison.metrics:
        return False, _not_measured(gate.metric, "compared", comparison.metrics)
    stage = "" if result.production is None else " in production"
    rival = f"{comparison.baseline}{stage}"
    return _judge_gain(gate, comparison.metrics[name], rival, comparison.dataset.rows)


def _without_comparison(gate: Gate, result: EvaluationResult) -> tuple[bool, str]:
    if result.production is None:
        return True, (
            f"{gate.metric}: no version is in production yet, so there is nothing to "
            "compare with; passes"
        )
    if result.production == str(result.version):
        return True, f"{gate.metric}: this version is itself in production; passes"
    return False, (
        f"{gate.metric} was not compared with {result.production}, which is in "
        "production: give decide() a comparison with it"
    )


def _judge_gain(
    gate: Gate, found: MetricComparison, rival: str, rows: int
) -> tuple[bool, str]:
    low, high = found.gain
    facts = (
        f"{gate.metric} is {found.candidate:.4f} against {found.baseline:.4f} of "
        f"{rival} on the same {rows} rows; the gain is between {low:+.4f} and "
        f"{high:+.4f} (95 %)"
    )
    if gate.not_worse_than and low < -gate.margin:
        return False, f"{facts}, so it may be worse by more than {gate.margin:g}"
    if gate.better_than and low <= gate.margin:
        return (
            False,
            f"{facts}, so it is not surely better by more than {gate.margin:g}",
        )
    if gate.better_than:
        return True, f"{facts}, so it is better by more than {gate.margin:g}"
    return True, f"{facts}, so it is not worse by more than {gate.margin:g}"


def _unknown(metric: str, result: EvaluationResult, measured: Iterable[str]) -> str:
    own = [name for name in measured if name not in METRICS]
    also = f"; measured beside them: {some_of(own)}" if own else ""
    return f"{no_such_metric(metric, result.task)}{also}; the gate stays shut"


def _not_measured(metric: str, done: str, known: Iterable[str]) -> str:
    return (
        f"{metric} was not {done} (only {some_of(known)}); a gate without its number "
        "stays shut"
    )
