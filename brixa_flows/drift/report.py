"""The verdict on a window, as values that travel as JSON."""

from __future__ import annotations

import importlib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Advice",
    "CheckResult",
    "ColumnDrift",
    "ColumnShape",
    "DriftReport",
    "Finding",
]

ColumnStatus = Literal["ok", "drift", "insufficient_data", "not_judged"]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Finding(_Value):
    """Something about a column, or about the window, that is no number."""

    column: str | None
    kind: str = Field(
        description="gone, new, retyped, new_categories, no_values, unsupported, "
        "many_categories, no_spread, zone, "
        "volume, stale, sample."
    )
    severity: Literal["alarm", "note"] = Field(
        description="An alarm makes the report's status drift."
    )
    sentence: str


class Advice(_Value):
    """What to make of one change."""

    column: str | None
    weight: float = Field(description="The larger, the sooner it is worth a look.")
    what: str
    sure: str
    matters: str
    since: str | None = Field(None, description="Begin of the first window of it.")
    action: str


class CheckResult(_Value):
    """One question about one column, and the method that answered it best."""

    check: str
    status: Literal["ok", "drift"]
    method: str
    effect: float | None
    threshold: float | None
    p_value: float | None = Field(description="Of a two-sample test.")
    adjusted_p_value: float | None = Field(
        description="After Benjamini and Hochberg over all columns and questions."
    )
    window_typical: float | None = Field(
        None, description="Usual effect of the reference's own windows."
    )
    window_limit: float | None = Field(
        None,
        description="What one of those windows reaches in alpha of cases, over all "
        "columns and questions.",
    )
    window_p_value: float | None = Field(
        None, description="How often one of those has such an effect, adjusted too."
    )
    detail: str = ""


class ColumnShape(_Value):
    """Shares of both samples in the same bins, for a plot."""

    labels: tuple[str, ...] = Field((), description="Categories; else edges are set.")
    edges: tuple[float, ...] = ()
    reference: tuple[float, ...]
    current: tuple[float, ...]


class ColumnDrift(_Value):
    """What became of one column.

    Attributes:
        name: Of the column.
        kind: numeric, category, boolean, datetime, empty or unsupported.
        status: ``ok``, ``drift``, ``insufficient_data`` or ``not_judged``.
        sentence: In plain words.
        p_value: Of the question that decided (else of the one about the values).
        adjusted_p_value: The same after adjustment.
        effect_size: Its effect.
        effect_name: The method that measured the effect.
        effect_threshold: The smallest effect that matters.
        effect_limit: The same, or what the reference's own windows reach, if that is
            more.
        missing_share: Of the window's rows, 0 to 1.
        reference_missing_share: Of the reference's rows.
        mean: Of the window's finite values.
        reference_mean: Of the reference's.
        checks: All questions.
        reported: Effects that decide nothing, by method.
        shape: For a plot.
    """

    name: str
    kind: str
    status: ColumnStatus
    sentence: str
    p_value: float | None = None
    adjusted_p_value: float | None = None
    effect_size: float | None = None
    effect_name: str | None = None
    effect_threshold: float | None = None
    effect_limit: float | None = None
    missing_share: float
    reference_missing_share: float
    mean: float | None = None
    reference_mean: float | None = None
    checks: tuple[CheckResult, ...] = ()
    reported: dict[str, float] = Field(default_factory=dict)
    shape: ColumnShape | None = None


class DriftReport(_Value):
    """A window against a reference.

    Attributes:
        status: ``drift`` if a column drifted or a finding is an alarm;
            ``insufficient_data`` if there were too few rows to say.
        engine: What compared them.
        kind: Of the window, if it was judged against the reference's own windows.
        rows: Of the window.
        reference_rows: Of the reference.
        alpha: False alarms allowed, over all columns.
        min_rows: Fewer are not judged.
        columns: By name.
        findings: On columns and on the window.
        sentence: The verdict in plain words.
        advice: What to make of it, see :func:`brixa_flows.drift.advised`.
    """

    status: Literal["ok", "drift", "insufficient_data"]
    engine: str = "profile"
    kind: str | None = None
    rows: int
    reference_rows: int
    alpha: float
    min_rows: int
    columns: dict[str, ColumnDrift]
    findings: tuple[Finding, ...] = ()
    sentence: str
    advice: tuple[Advice, ...] = ()

    @property
    def drifted(self) -> list[str]:
        """Names of the columns that drifted or have an alarm, in order."""
        alarms = {each.column for each in self.findings if each.severity == "alarm"}
        named = [name for name, each in self.columns.items() if each.status == "drift"]
        return named + [
            name for name in sorted(filter(None, alarms)) if name not in named
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` reads them back."""
        return self.model_dump(mode="json")

    @property
    def drift_share(self) -> float:
        """Share of the columns that drifted or have an alarm, 0 to 1."""
        known = {*self.columns, *self.drifted}
        return len(self.drifted) / len(known) if known else 0.0

    @property
    def drift_score(self) -> float:
        """The largest effect of a column that was judged, over its limit: 1 is large.

        A column without such an effect, as one that is gone, counts in
        :attr:`drift_share` alone.
        """
        return max(
            (
                each.effect_size / limit
                for each in self.columns.values()
                if each.effect_size is not None
                and (limit := each.effect_limit or each.effect_threshold)
            ),
            default=0.0,
        )

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> DriftReport:
        """Read what :meth:`to_dict` wrote."""
        return cls.model_validate(payload)

    def to_markdown(self, *, plots: int = 0) -> str:
        """Sentences and a table.

        Args:
            plots: At most so many drifted columns are drawn, as inline PNG images.
        """
        module = importlib.import_module("brixa_flows.drift.markdown")
        text: str = module.render_markdown(self, plots)
        return text

    def to_html(self, *, plots: int = 12) -> str:
        """A page that needs nothing else: styles and plots are in it.

        Args:
            plots: At most so many columns are drawn, drifted ones first.
        """
        module = importlib.import_module("brixa_flows.drift.html_page")
        text: str = module.render_html(self, plots)
        return text
