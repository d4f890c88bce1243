"""The block of a gate policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prefect.blocks.core import Block
from pydantic import BaseModel, ConfigDict, Field

from brixa_flows.blocks.appearance import DOCUMENTATION, LOGO

if TYPE_CHECKING:
    from brixa_flows.evaluation import Gate, GatePolicy

__all__ = ["BrixaGatePolicy", "GateRule"]


class GateRule(BaseModel):
    """One condition of a policy; flat, so that its form is plain."""

    model_config = ConfigDict(extra="forbid")

    metric: str = Field(
        "", description="Metric, named as in scikit-learn; auc is roc_auc."
    )
    rule: Literal[
        "min", "max", "not_worse_than", "better_than", "signature", "no_drift"
    ] = Field(
        description="Compare with a number (min, max) or with production; or require "
        "schemas (signature) or rows like those of the training (no_drift)."
    )
    value: float = Field(
        0.0,
        description="The number of min and max, else the margin to production.",
    )
    slice: str = Field(
        "", description="Column; the rule must hold for each of its values."
    )
    min_rows: int = Field(
        30, ge=1, description="Values of the column with fewer rows are not judged."
    )

    def to_gate(self) -> Gate:
        """The gate that it describes.

        Raises:
            EvaluationError: If it makes no sense.
        """
        from brixa_flows.evaluation import Gate

        if self.rule in ("signature", "no_drift"):
            return Gate(require=self.rule)
        sliced = {"slice": self.slice, "min_rows": self.min_rows}
        extra = sliced if self.slice else {}
        if self.rule in ("min", "max"):
            return Gate(self.metric, **{self.rule: self.value}, **extra)
        return Gate(
            self.metric, **{self.rule: "production"}, margin=self.value, **extra
        )

    @classmethod
    def of_gate(cls, gate: Gate) -> list[GateRule]:
        """The rules that say the same as a gate."""
        if gate.require is not None:
            return [cls(rule=gate.require)]
        values = {
            "min": gate.min,
            "max": gate.max,
            "not_worse_than": gate.margin if gate.not_worse_than else None,
            "better_than": gate.margin if gate.better_than else None,
        }
        return [
            cls.model_validate(
                {
                    "metric": gate.metric,
                    "rule": rule,
                    "value": value,
                    "slice": gate.slice or "",
                    "min_rows": gate.min_rows,
                }
            )
            for rule, value in values.items()
            if value is not None
        ]


class BrixaGatePolicy(Block):
    """What a version must show before it may go into a stage.

    Example:
        Load a stored policy and ask it:
        ```python
        from brixa_flows.blocks import BrixaGatePolicy

        policy = BrixaGatePolicy.load("BLOCK_NAME").policy("BLOCK_NAME")
        print(policy.decide(result, comparison).to_markdown())
        ```
    """

    _block_type_name = "Brixa Gate Policy"
    _block_type_slug = "brixa-gate-policy"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    rules: list[GateRule] = Field(description="All of them must hold.")
    approval_hours: float = Field(
        0.0,
        ge=0,
        description="How long a person has to say yes once the rules hold; 0 asks "
        "nobody.",
    )
    approval_tell: str = Field(
        "", description="Whom the question is for, as people say it."
    )

    @classmethod
    def from_policy(cls, policy: GatePolicy) -> BrixaGatePolicy:
        """The block of a policy, for instance of one read from a file."""
        asked = policy.approval
        return cls(
            rules=[rule for gate in policy.gates for rule in GateRule.of_gate(gate)],
            approval_hours=asked.hours if asked else 0.0,
            approval_tell=asked.tell if asked else "",
        )

    def policy(self, name: str = "policy") -> GatePolicy:
        """The policy that it describes.

        Args:
            name: What reports call it.

        Raises:
            EvaluationError: If a rule makes no gate.
        """
        from brixa_flows.evaluation import ApprovalRule, GatePolicy

        approval = None
        if self.approval_hours:
            approval = ApprovalRule(hours=self.approval_hours, tell=self.approval_tell)
        gates = [rule.to_gate() for rule in self.rules]
        return GatePolicy(gates, name=name, approval=approval)
