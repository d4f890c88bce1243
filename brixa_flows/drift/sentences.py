"""Verdicts in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brixa_flows.drift.column import ColumnProfile
from brixa_flows.drift.report import CheckResult, ColumnDrift, Finding

__all__ = [
    "column_sentence",
    "mean_text",
    "number",
    "p_number",
    "p_text",
    "report_sentence",
]

_EFFECTS = {
    "wasserstein": "values moved by {effect:.3g} of the reference's scale",
    "ks": "the distributions are up to {effect:.1%} of rows apart",
    "share_change": "the share of {detail}",
    "missing_share_change": "missing rows went from {detail}",
    "infinite_share_change": "infinite values went from {detail}",
    "word_share_change": "the share of texts with {detail}",
    "new_word_share": "{effect:.1%} of words more than expected were never seen: {detail}",
    "new_category_share": "{effect:.1%} of rows have a category never seen: {detail}",
}
_NAMED_AT_MOST = 5


def column_sentence(
    name: str,
    reference: ColumnProfile,
    current: ColumnProfile,
    checks: Sequence[CheckResult],
) -> str:
    """What became of a column, and how sure and how unusual that is."""
    drifted = [check for check in checks if check.status == "drift"]
    if drifted:
        parts = [_check_text(check, reference, current) for check in drifted]
        return f"{name} drifted: {'; '.join(parts)}."
    if reference.kind == "datetime" and not any(c.check == "values" for c in checks):
        return f"{name}: a clock moves on by itself; only missing rows are judged."
    if not checks:
        return f"{name}: there is nothing to compare."
    return f"{name}: no change that is both sure and large enough to matter" + (
        "." if not _held_back(checks) else ", given how the reference's windows differ."
    )


def report_sentence(
    status: str,
    rows: int,
    reference_rows: int,
    min_rows: int,
    columns: Sequence[ColumnDrift],
    findings: Sequence[Finding],
) -> str:
    """The verdict on the window in one sentence."""
    if status == "insufficient_data":
        return (
            f"Too few rows to judge: {rows:,} against {reference_rows:,} of the "
            f"reference; at least {min_rows:,} of each are needed."
        )
    drifted = [each for each in columns if each.status == "drift"]
    alarms = [each for each in findings if each.severity == "alarm"]
    if status == "ok":
        return f"No drift in {len(columns)} columns over {rows:,} rows."
    parts = []
    if drifted:
        named = [_short(each) for each in drifted[:_NAMED_AT_MOST]]
        more = len(drifted) - len(named)
        parts.append(
            f"Drift in {len(drifted)} of {len(columns)} columns over {rows:,} rows: "
            + ", ".join(named)
            + (f" and {more} more" if more else "")
        )
    parts += [each.sentence.rstrip(".") for each in alarms[:_NAMED_AT_MOST]]
    return "; ".join(parts) + "."


def number(value: float | None) -> str:
    """A number a person can read, or a dash."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def mean_text(kind: str, mean: float | None) -> str:
    """A mean a person can read: of dates and times the moment, in UTC."""
    if kind != "datetime" or mean is None:
        return number(mean)
    return str(np.datetime64(round(mean), "s")).replace("T", " ")[:-3]


def p_number(p_value: float | None) -> str:
    """A p-value for a table, or a dash."""
    if p_value is None:
        return "-"
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def p_text(p_value: float | None) -> str:
    """``p < 0.001`` or ``p = 0.012``."""
    if p_value is None:
        return "no test"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _check_text(
    check: CheckResult, reference: ColumnProfile, current: ColumnProfile
) -> str:
    form = _EFFECTS.get(check.method, check.method + " is {effect:.3g}")
    effect = check.effect if check.effect is not None else float("nan")
    text = form.format(effect=effect, detail=check.detail)
    part = check.check in reference.parts
    if part:
        reference, current = reference.parts[check.check], current.parts[check.check]
    if reference.kind == "numeric" and (part or check.check == "values"):
        text = (
            f"mean {number(reference.mean)} to {number(current.mean)}, {text} "
            f"(limit {check.threshold:g})"
        )
    if part:
        text = f"{check.check.replace('_', ' ')}: {text}"
    text += f" ({p_text(check.adjusted_p_value)}"
    if check.window_typical:
        times = effect / check.window_typical
        text += f", {times:.1f} times as far as the reference's own windows"
    return text + ")"


def _held_back(checks: Sequence[CheckResult]) -> bool:
    """Whether only the spread of the windows kept a question from being drift."""
    return any(
        check.window_p_value is not None
        and (check.effect or 0.0) >= (check.threshold or 0.0)
        and check.adjusted_p_value is not None
        and check.adjusted_p_value < check.window_p_value
        for check in checks
    )


def _short(column: ColumnDrift) -> str:
    if column.effect_name in ("wasserstein", "ks") and column.mean is not None:
        return (
            f"{column.name} (mean {mean_text(column.kind, column.reference_mean)} to "
            f"{mean_text(column.kind, column.mean)})"
        )
    return f"{column.name} ({(column.effect_name or '').replace('_', ' ')})"
