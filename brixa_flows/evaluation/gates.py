"""Gates: what a version must show before it may go on, kept as data.

``min`` and ``max`` judge the value itself. ``not_worse_than`` and ``better_than``
judge the bound of the 95 % interval of the difference to the version in production on
the same rows: few rows or noisy ones don't open a gate. While nothing is in production
there is nothing to be worse than: these two pass, and say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.comparison import Comparison
from brixa_flows.evaluation.conditions import Conditions
from brixa_flows.evaluation.gate import (
    ApprovalRule,
    Gate,
    GateOutcome,
    PolicyData,
    as_evaluation_error,
    refuse_odd_keys,
)
from brixa_flows.evaluation.gate_judging import judge_gate
from brixa_flows.evaluation.junit import junit_suite
from brixa_flows.evaluation.metrics import canonical_metric
from brixa_flows.evaluation.results import DatasetFacts, EvaluationResult
from brixa_flows.evaluation.tables import cell
from brixa_flows.policy_files import read_data

__all__ = [
    "ApprovalRule",
    "Gate",
    "GateDecision",
    "GateOutcome",
    "GatePolicy",
    "Verdict",
]

Verdict = Literal["allowed", "waiting", "refused"]


@dataclass(frozen=True)
class GateDecision:
    """What a policy said about a version.

    Attributes:
        policy: Name of the policy.
        model_name: The model.
        version: Its version, as text.
        gates: What each gate said, in order.
        production: Who was in production then, ``None`` for nobody.
        approval: Who is asked besides, if the policy asks a person.
        warnings: What a reader of the numbers must know.
        dataset: The rows that the version was judged on, ``None`` if it was not.
        conditions: What the numbers are of.
    """

    policy: str
    model_name: str
    version: str
    gates: tuple[GateOutcome, ...]
    production: str | None = None
    approval: ApprovalRule | None = None
    warnings: tuple[str, ...] = ()
    dataset: DatasetFacts | None = None
    conditions: Conditions | None = None

    @property
    def verdict(self) -> Verdict:
        """``allowed``, ``refused`` by a gate, or ``waiting`` for a person's word."""
        if not all(outcome.passed for outcome in self.gates):
            return "refused"
        return "waiting" if self.approval else "allowed"

    @property
    def allowed(self) -> bool:
        """Whether every gate passed and no person has to be asked."""
        return self.verdict == "allowed"

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
            "verdict": self.verdict,
            "production": self.production,
            "gates": [
                {
                    "gate": outcome.gate.model_dump(exclude_defaults=True),
                    "passed": outcome.passed,
                    "sentence": outcome.sentence,
                }
                for outcome in self.gates
            ],
            "warnings": list(self.warnings),
            "dataset": self.dataset.to_dict() if self.dataset else None,
            "task": self.conditions.task if self.conditions else None,
            "positive": self.conditions.positive if self.conditions else None,
            "threshold": self.conditions.threshold if self.conditions else None,
        }

    @property
    def judged_on(self) -> str:
        """The rows and the question, for people; empty if there are none."""
        if self.dataset is None:
            return ""
        return (
            f"{self.dataset.rows:,} rows of {self.dataset.name} (digest "
            f"{self.dataset.digest}), {self.conditions}"
        )

    def to_markdown(self) -> str:
        """A heading with the decision and a table of the gates."""
        words = f"{self.verdict} by the policy {self.policy}"
        if self.verdict == "waiting":
            words = f"allowed by the policy {self.policy}, which asks a person"
        lines = [
            f"## {self.model_name} {self.version}: {words}",
            "",
            *([f"Judged on {self.judged_on}.", ""] if self.dataset else []),
            "| gate | passed | why |",
            "|---|---|---|",
        ]
        lines += [
            f"| {cell(outcome.gate)} | {'yes' if outcome.passed else 'no'} "
            f"| {cell(outcome.sentence)} |"
            for outcome in self.gates
        ]
        lines += [f"\n> {warning}" for warning in self.warnings]
        return "\n".join(lines) + "\n"

    def to_junit(self) -> str:
        """JUnit XML: a test case a gate, failed where it said no."""
        cases = [
            (str(outcome.gate), outcome.sentence, outcome.passed)
            for outcome in self.gates
        ]
        return junit_suite(
            f"{self.model_name} {self.version}: {self.policy}",
            cases,
            properties={"judged_on": self.judged_on} if self.dataset else None,
            notes=self.warnings,
        )


class GatePolicy(PolicyData):
    """A named list of gates, all of which must pass, and then perhaps a person.

    Args:
        gates: The gates, or mappings with their fields.
        name: What people call the policy.
        approval: Asks a person once the gates have passed; ``None`` asks nobody.

    Raises:
        EvaluationError: If there is no gate, or one is none; says which.
    """

    name: str = Field("policy", min_length=1)
    gates: tuple[Gate, ...] = Field(min_length=1)
    approval: ApprovalRule | None = None

    def __init__(
        self,
        gates: Iterable[Gate | Mapping[str, Any]],
        name: str = "policy",
        approval: ApprovalRule | Mapping[str, Any] | None = None,
        **unknown: Any,
    ) -> None:
        if isinstance(gates, Iterable) and not isinstance(gates, str | Mapping):
            gates = list(gates)
            for place, each in enumerate(gates):
                if isinstance(each, Mapping):
                    refuse_odd_keys(f"the gate policy {name!r}: gates.{place}", each)
        given = {"gates": gates, "name": name, "approval": approval, **unknown}
        with as_evaluation_error(f"the gate policy {name!r}"):
            BaseModel.__init__(self, **given)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that its gates judge, each once."""
        names = (canonical_metric(gate.metric) for gate in self.gates if gate.metric)
        return list(dict.fromkeys(names))

    @property
    def slices(self) -> list[str]:
        """Columns that its gates judge by, each once."""
        return list(dict.fromkeys(gate.slice for gate in self.gates if gate.slice))

    @property
    def compared_slices(self) -> list[str]:
        """Those of them by which it compares with production."""
        relative = (gate.slice for gate in self.gates if gate.is_relative)
        return list(dict.fromkeys(filter(None, relative)))

    @property
    def compared_metrics(self) -> list[str]:
        """Names of the metrics that it compares with production, each once."""
        relative = (gate.metric for gate in self.gates if gate.is_relative)
        return list(dict.fromkeys(map(canonical_metric, relative)))

    @property
    def needs_drift(self) -> bool:
        """Whether a gate asks for the drift of the rows."""
        return any(gate.require == "no_drift" for gate in self.gates)

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
        refuse_odd_keys("the gate policy", payload)
        if payload.get("approval", ...) is None:  # in YAML: the key with nothing below
            raise EvaluationError(
                "the approval is empty; say how long a person has, such as hours: 24, "
                "or leave the key out to ask nobody"
            )
        return cls(**payload)

    @classmethod
    def from_file(cls, path: str | Path) -> GatePolicy:
        """Read a policy from a YAML, TOML or JSON file.

        Raises:
            EvaluationError: If it can't be read; names the file and the place.
        """
        file = Path(path)
        try:
            return cls.from_dict(read_data(file))
        except (OSError, ValueError) as err:
            raise EvaluationError(f"{file} can't be read as a policy: {err}") from err

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, which :meth:`from_dict` reads back."""
        gates = [gate.model_dump(exclude_defaults=True) for gate in self.gates]
        asked = {"approval": self.approval.model_dump()} if self.approval else {}
        return {"name": self.name, "gates": gates, **asked}

    def decide(
        self,
        result: EvaluationResult,
        comparison: Comparison | None = None,
        missing: Mapping[str, str] | None = None,
    ) -> GateDecision:
        """Judge a version.

        Args:
            result: Its evaluation.
            comparison: Of it as the candidate with production as the baseline, on the
                same rows; ``None`` while nothing is in production.
            missing: Why a metric has no number, by its name; for the sentences.

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
        why = {canonical_metric(name): told for name, told in (missing or {}).items()}
        outcomes = (judge_gate(gate, result, comparison, why) for gate in self.gates)
        return GateDecision(
            self.name,
            result.model_name,
            str(result.version),
            tuple(outcomes),
            result.production,
            self.approval,
            _warnings(result, comparison),
            result.dataset,
            result.conditions,
        )

    def refuse(self, model_name: str, version: str, why: str) -> GateDecision:
        """The decision about a version that could not be judged: every gate is shut.

        Args:
            model_name: The model.
            version: Its version.
            why: A sentence.
        """
        said = f"can't be judged: {why}"
        gates = tuple(GateOutcome(gate, False, said) for gate in self.gates)
        return GateDecision(self.name, model_name, version, gates)


def _warnings(
    result: EvaluationResult, comparison: Comparison | None
) -> tuple[str, ...]:
    """Of both, each once."""
    known = {f"candidate: {warning}" for warning in result.warnings}
    compared = comparison.warnings if comparison else ()
    return result.warnings + tuple(each for each in compared if each not in known)
