"""One gate: what a version must show, what the gate said, and who is asked besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.metric_catalog import named_metric

__all__ = [
    "ApprovalRule",
    "Gate",
    "GateOutcome",
    "PolicyData",
    "Required",
    "as_evaluation_error",
    "refuse_odd_keys",
]

Required = Literal["signature", "no_drift"]


@contextmanager
def as_evaluation_error(where: str) -> Iterator[None]:
    """Say pydantic's list of faults in one sentence."""
    try:
        yield
    except ValidationError as err:
        found = err.errors()
        nested = [fault for fault in found if len(fault["loc"]) > 1]
        faults = "; ".join(_fault(fault) for fault in nested or found)
        raise EvaluationError(f"{where} {faults}") from err


def refuse_odd_keys(where: str, given: Mapping[Any, Any]) -> None:
    """Refuse keys that are no texts, such as the 1 of ``{min: 0,1}`` in YAML.

    Raises:
        EvaluationError: If there is one; names it.
    """
    odd = [key for key in given if not isinstance(key, str)]
    if odd:
        raise EvaluationError(
            f"{where} has the key {odd[0]!r}, which is no text; a number with a comma "
            "is two things in YAML: write 0.1, not 0,1"
        )


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number; write one such as 0.8")
    return value


Number = Annotated[float, BeforeValidator(_no_flag)]
Count = Annotated[int, BeforeValidator(_no_flag)]


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


class PolicyData(BaseModel):
    """Strict and frozen: a misspelt key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ApprovalRule(PolicyData):
    """A person is asked once every gate has passed.

    Args:
        **given: The fields below.

    Raises:
        EvaluationError: If a field is none; says which.
    """

    hours: Number = Field(
        24.0,
        gt=0,
        le=24 * 365,
        description="How long a person has; then nothing is promoted.",
    )
    tell: str = Field(
        "", max_length=500, description="Whom the question is for, as people say it."
    )

    def __init__(self, **given: Any) -> None:
        with as_evaluation_error("the approval"):
            BaseModel.__init__(self, **given)

    @property
    def timeout_seconds(self) -> int:
        """The time to answer, at least a second."""
        return max(1, round(self.hours * 3600))


class Gate(PolicyData):
    """One condition, on one metric or on a fact of the version.

    Args:
        metric: Its name; ``auc`` is ``roc_auc``.
        **conditions: The fields below.

    Raises:
        EvaluationError: If the conditions make no gate; says which and what to write.
    """

    metric: str = Field("", description="Name; auc is roc_auc.")
    require: Required | None = Field(
        None,
        description="In place of a metric: the version has a signature (schemas of its "
        "inputs and outputs), or the rows it was judged on have not drifted from its "
        "training rows.",
    )
    min: Number | None = Field(None, description="The value must be at least this.")
    max: Number | None = Field(None, description="The value must be at most this.")
    not_worse_than: Literal["production"] | None = Field(
        None, description="The loss against it is surely at most the margin."
    )
    better_than: Literal["production"] | None = Field(
        None, description="The gain over it is surely more than the margin."
    )
    margin: Number = Field(0.0, ge=0, description="In units of the metric.")
    slice: str | None = Field(
        None,
        min_length=1,
        description="Column; each condition must hold for the rows of each value.",
    )
    min_rows: Count = Field(
        30, ge=1, description="Values with fewer rows are told and not judged (slice)."
    )

    def __init__(self, metric: str = "", **conditions: Any) -> None:
        what = metric or conditions.get("require") or ""
        with as_evaluation_error(f"the gate on {what!r}"):
            BaseModel.__init__(self, metric=metric, **conditions)

    @model_validator(mode="after")
    def _makes_sense(self) -> Gate:
        if self.require is not None:
            if self.model_dump(exclude_defaults=True).keys() != {"require"}:
                raise ValueError("requires a fact, which has no other condition")
            return self
        if not self.metric:
            raise ValueError("has an empty metric; give it a name")
        if self.min is None and self.max is None and not self.is_relative:
            raise ValueError(
                "has no condition; give min=, max=, not_worse_than='production' or "
                "better_than='production'"
            )
        bounded = self.min is not None or self.max is not None
        if bounded and self.metric.startswith("neg_"):
            raise ValueError(
                "has a bound in scikit-learn's negative form, while values are positive "
                f"here: write {self.metric[4:]!r} with max= for a min= of the negative"
            )
        if self.is_relative or (self.min is not None and self.max is not None):
            pass  # what is better is asked for too
        elif (known := named_metric(self.metric)) is not None:
            _refuse_wrong_side(self, known.higher_is_better)
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
        if self.require is not None:
            return self.require.replace("_", " ")
        margin = f" by {self.margin:g}" if self.margin else ""
        parts = [
            f">= {self.min:g}" if self.min is not None else "",
            f"<= {self.max:g}" if self.max is not None else "",
            f"not worse than {self.not_worse_than}{margin}" * bool(self.not_worse_than),
            f"better than {self.better_than}{margin}" * bool(self.better_than),
        ]
        each = f" for each {self.slice}" if self.slice else ""
        return f"{self.metric} {' and '.join(filter(None, parts))}{each}"


def _refuse_wrong_side(gate: Gate, higher_is_better: bool) -> None:
    """A lone bound on the good side lets every bad version through."""
    right, wrong, bound = ("max", "min", gate.min)
    if higher_is_better:
        right, wrong, bound = ("min", "max", gate.max)
    if bound is not None:
        raise ValueError(
            f"has only {wrong}={bound:g}, but {'more' if higher_is_better else 'less'} "
            f"of it is better, so the worst version would pass; write {right}=, or both "
            "where what is too good to be true is refused as well"
        )


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
