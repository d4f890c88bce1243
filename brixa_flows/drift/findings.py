"""What is wrong with the columns themselves: gone, new, of another type, unreadable."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from brixa_flows.drift.column import MAX_CATEGORIES, ColumnProfile
from brixa_flows.drift.profile import DriftProfile
from brixa_flows.drift.report import Finding

__all__ = ["ColumnPair", "comparable_columns", "quality_findings", "schema_findings"]

# Between these float32 keeps its precision.
_FINEST, _COARSEST = 1e-36, 1e38
ColumnPair = tuple[ColumnProfile, ColumnProfile]


def schema_findings(
    reference: DriftProfile, current: DriftProfile, judged: Collection[str]
) -> list[Finding]:
    """Columns that are gone, new or retyped.

    Args:
        reference: What is expected.
        current: What came.
        judged: The columns that matter; others are passed over.
    """
    findings = []
    for name in judged:
        before, after = reference.columns.get(name), current.columns.get(name)
        if before is None and after is not None:
            findings.append(_new(name, after))
        elif before is not None and after is None:
            findings.append(_gone(name, before))
        elif before is not None and after is not None and _is_retyped(before, after):
            findings.append(_retyped(name, before, after))
        if before is not None and current.absent.get(name):
            findings.append(_partly_gone(name, current.absent[name], current.rows))
    return findings


def comparable_columns(
    reference: DriftProfile, current: DriftProfile, judged: Collection[str]
) -> dict[str, ColumnPair]:
    """The columns that both have with the same kind; one with no values takes any."""
    pairs = {}
    for name in judged:
        before, after = reference.columns.get(name), current.columns.get(name)
        if before is None or after is None or _is_retyped(before, after):
            continue
        if before.kind == "empty":
            before = replace(before, kind=after.kind)
        elif after.kind == "empty":
            after = replace(after, kind=before.kind)
        pairs[name] = before, after
    return pairs


def quality_findings(name: str, pair: ColumnPair) -> Iterator[Finding]:
    """Notes on one column that no test can judge."""
    before, after = pair
    if after.rows and not after.values and before.values:
        what = "missing or infinite" if after.infinite else "missing"
        yield Finding(
            column=name,
            kind="no_values",
            severity="note",
            sentence=f"{name}: every value of the window is {what}.",
        )
    if before.other or after.other:
        yield Finding(
            column=name,
            kind="many_categories",
            severity="note",
            sentence=f"{name}: of more than {MAX_CATEGORIES:,} categories the most "
            "frequent are compared, the rest as one; new ones are not searched for.",
        )
    if before.kind == "datetime" and _zoned(before) != _zoned(after):
        yield Finding(
            column=name,
            kind="zone",
            severity="note",
            sentence=f"{name}: times were {before.type_name} and are {after.type_name}; "
            "those without a zone are taken for UTC.",
        )
    if any(_is_beyond_bins(column) for column in pair):
        yield Finding(
            column=name,
            kind="out_of_scale",
            severity="note",
            sentence=f"{name}: values differ by less than {_FINEST:g} or more than "
            f"{_COARSEST:g}, where histograms tell few of them apart; judge them in "
            "another unit, or their logarithms.",
        )
    if before.kind == "unsupported":
        yield Finding(
            column=name,
            kind="unsupported",
            severity="note",
            sentence=f"{name}: values of type {before.type_name} are not compared, "
            "only how many are missing.",
        )


def _is_beyond_bins(column: ColumnProfile) -> bool:
    """Whether the bins, which are those of float32, hold what differs as one."""
    if column.centre is None or column.minimum is None or column.maximum is None:
        return False
    # Halves: the whole of it may be more than a float.
    width = max(
        abs(column.maximum / 2 - column.centre / 2),
        abs(column.minimum / 2 - column.centre / 2),
    )
    return 0 < 2 * width < _FINEST or 2 * width > _COARSEST


def _zoned(column: ColumnProfile) -> bool:
    return "tz=" in column.type_name


def _is_retyped(before: ColumnProfile, after: ColumnProfile) -> bool:
    return before.kind != after.kind and "empty" not in (before.kind, after.kind)


def _gone(name: str, before: ColumnProfile) -> Finding:
    return Finding(
        column=name,
        kind="gone",
        severity="alarm",
        sentence=f"{name}: the column is gone; the reference has it as "
        f"{before.type_name}.",
    )


def _partly_gone(name: str, absent: int, rows: int) -> Finding:
    return Finding(
        column=name,
        kind="partly_gone",
        severity="alarm",
        sentence=f"{name}: {absent:,} of {rows:,} rows came without this column, as the "
        "files of the window differ.",
    )


def _new(name: str, after: ColumnProfile) -> Finding:
    return Finding(
        column=name,
        kind="new",
        severity="note",
        sentence=f"{name}: a new column of type {after.type_name} that the reference "
        "does not have.",
    )


def _retyped(name: str, before: ColumnProfile, after: ColumnProfile) -> Finding:
    return Finding(
        column=name,
        kind="retyped",
        severity="alarm",
        sentence=f"{name}: held {before.kind} values ({before.type_name}) and now "
        f"holds {after.kind} values ({after.type_name}).",
    )
