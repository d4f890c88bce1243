"""The block of a drift policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from prefect.blocks.core import Block
from pydantic import Field

from brixa_flows.blocks.appearance import DOCUMENTATION, LOGO

if TYPE_CHECKING:
    from brixa_flows.drift import DriftPolicy

__all__ = ["BrixaDriftPolicy"]

WindowKind = Literal["hour", "day", "week", "month", "quarter", "sample"]


class BrixaDriftPolicy(Block):
    """Which windows of traffic raise an alarm.

    Example:
        Load a stored policy and see what it says:
        ```python
        from brixa_flows.blocks import BrixaDriftPolicy

        policy = BrixaDriftPolicy.load("BLOCK_NAME").policy()
        print(policy.detector().detect("training.parquet", "november.parquet"))
        ```
    """

    _block_type_name = "Brixa Drift Policy"
    _block_type_slug = "brixa-drift-policy"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    min_rows: int = Field(
        200, ge=1, description="A window with fewer rows is not judged."
    )
    alpha: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of false alarms, over all columns of a window.",
    )
    thresholds: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {},
        description="Smallest effect that matters, by method, such as ks: 0.1; methods "
        "that are not named keep theirs. Over 0.",
    )
    judge_volume: bool = Field(
        False,
        description="Less than half or more than twice the usual rows is drift too.",
    )
    judge_datetimes: bool = Field(
        False, description="Values of dates and times are judged too."
    )
    fresh_hours: float = Field(
        0,
        ge=0,
        le=87_600,
        description="How many hours old the newest row may be at the end of its window; 0 "
        "does not ask.",
    )
    clock: str = Field(
        "",
        description="Column that says when a row is from; empty takes the latest of all "
        "dates and times.",
    )
    season: Literal["", "month", "weekday", "hour"] = Field(
        "",
        description="Judge a window by the same month, weekday or hour of the reference, "
        "if the reference was cut into those.",
    )
    learn_thresholds: bool = Field(
        True,
        description="A window of time must differ more than the reference's own windows "
        "do.",
    )
    ignore: list[str] = Field(
        [], description="Columns that are passed over: row ids, clocks, labels."
    )
    windows: list[WindowKind] = Field(
        [],
        description="Kinds of windows that can raise an alarm; others are only "
        "reported. None of them means all.",
    )
    needed: int = Field(1, ge=1, description="How many windows must have drifted.")
    among: int = Field(
        1, ge=1, description="Among how many of the last windows of a kind."
    )
    cooldown_days: float = Field(
        0,
        ge=0,
        le=3_650,
        description="Days from the end of one alarm's window to the end of the next "
        "one's, at least; 0 lets each raise one.",
    )
    response: Literal["retrain", "roll_back", "report"] = Field(
        "retrain",
        description="What an alarm leads to: a training on newer rows, the version "
        "before in production again, or only that people are told.",
    )

    @classmethod
    def from_policy(cls, policy: DriftPolicy) -> BrixaDriftPolicy:
        """The block that says the same as a policy, to be saved under a name."""
        return cls.model_validate(policy.model_dump(mode="json"))

    def policy(self) -> DriftPolicy:
        """The policy that it describes.

        Raises:
            DriftError: If its rules contradict each other.
        """
        from brixa_flows.drift import DriftPolicy

        return DriftPolicy(**self.model_dump(include=set(DriftPolicy.model_fields)))
