"""When a window that drifted is an alarm; others are kept and reported only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from brixa_flows.drift.detector import DriftDetector
from brixa_flows.drift.flow import Freshness
from brixa_flows.drift.profile import DriftProfile
from brixa_flows.drift.report import DriftReport, Finding
from brixa_flows.drift.seasons import SeasonalReference
from brixa_flows.drift.spread import window_seconds
from brixa_flows.errors import DriftError, some_of
from brixa_flows.plugins import DRIFT_METHODS
from brixa_flows.policy_files import read_data

__all__ = ["DriftPolicy", "DriftVerdict", "JudgedWindow", "moment_of"]

# Kinds of windows that have no length of time.
_OTHER_KINDS = ("sample", "rows")


@dataclass(frozen=True)
class JudgedWindow:
    """A window of traffic and what was found.

    Attributes:
        deployment: Who served it.
        kind: ``week``, ``month`` ...
        start: Its begin, UTC.
        end: Its end, not included, UTC.
        drifted: Whether it differs from the reference, or the model got worse.
        alarm: Whether it was an alarm.
    """

    deployment: str
    kind: str
    start: datetime
    end: datetime
    drifted: bool
    alarm: bool = False

    @classmethod
    def of(
        cls,
        deployment: str,
        kind: str,
        start: str,
        end: str,
        *,
        drifted: bool,
        alarm: bool = False,
    ) -> JudgedWindow:
        """A window whose times are ISO 8601; without a zone they are UTC.

        Raises:
            DriftError: If they are none, or the end is not after the start.
        """
        begin, stop = moment_of(start), moment_of(end)
        if stop <= begin:
            raise DriftError(f"the window ends at {end}, not after its start {start}")
        return cls(deployment, kind, begin, stop, drifted, alarm)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> JudgedWindow | None:
        """What a record of the registry's journal tells; ``None`` if of no window."""
        texts = ("deployment", "window", "start", "end")
        if not all(isinstance(record.get(name), str) for name in texts):
            return None
        return cls.of(
            *(record[name] for name in texts),
            drifted=record.get("status") in ("drift", "degraded"),
            alarm=record.get("alarm") is True,
        )


@dataclass(frozen=True)
class DriftVerdict:
    """Whether a window is an alarm, and why."""

    alarm: bool
    sentence: str


class DriftPolicy(BaseModel):
    """Rules for alarms; the defaults make one of each window that drifted.

    Args:
        **rules: The fields below.

    Raises:
        DriftError: If a rule can't be.
    """

    # Numbers are strict: `yes` of YAML is no 1.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_rows: int = Field(
        200, ge=1, strict=True, description="With fewer nothing is judged."
    )
    alpha: float = Field(
        0.05,
        gt=0,
        lt=1,
        strict=True,
        description="Share of false alarms over all columns.",
    )
    thresholds: dict[str, Annotated[float, Field(gt=0, strict=True)]] = Field(
        default_factory=dict,
        description="Smallest effect that matters, by method, such as ks: 0.1; over 0.",
    )
    judge_volume: bool = Field(
        False, description="Far fewer or far more rows than usual are drift too."
    )
    judge_datetimes: bool = Field(
        False,
        description="Values of dates and times are judged, not only missing ones.",
    )
    fresh_hours: float = Field(
        0,
        ge=0,
        le=87_600,
        strict=True,
        description="How old the newest row may be at the end of its window; 0 does not "
        "ask.",
    )
    clock: str = Field(
        "",
        description="Column that says when a row is from; empty takes the latest of all "
        "dates and times.",
    )
    season: Literal["", "month", "weekday", "hour"] = Field(
        "",
        description="Windows are judged by that season of the reference, if it was cut "
        "into seasons; empty takes all of it.",
    )
    learn_thresholds: bool = Field(
        True,
        description="A window of time must differ more than the reference's own windows "
        "do; without, it is judged like a random sample.",
    )
    ignore: tuple[str, ...] = Field((), description="Columns that are passed over.")
    windows: tuple[str, ...] = Field(
        (), description="Kinds of windows that can be an alarm; none means all."
    )
    needed: int = Field(
        1, ge=1, strict=True, description="How many windows must have drifted ..."
    )
    among: int = Field(
        1, ge=1, strict=True, description="... among the last so many of the kind."
    )
    cooldown_days: float = Field(
        0,
        ge=0,
        le=3_650,
        strict=True,
        description="From the end of one alarm's window to that of the next.",
    )
    response: Literal["retrain", "roll_back", "report"] = Field(
        "retrain",
        description="What an alarm leads to; report only tells people.",
    )

    def __init__(self, **rules: Any) -> None:
        try:
            super().__init__(**rules)
        except ValidationError as err:
            first = err.errors()[0]
            where = ".".join(map(str, first["loc"])) or "rules"
            reason = first["msg"].removeprefix("Value error, ")
            raise DriftError(f"the drift policy's {where}: {reason}") from err

    @model_validator(mode="after")
    def _check_order(self) -> DriftPolicy:
        if self.needed > self.among:
            raise ValueError(
                f"{self.needed} windows of {self.among} can't drift; needed is at most "
                "among"
            )
        return self

    @field_validator("windows")
    @classmethod
    def _check_windows(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for kind in given:  # a slip would never raise an alarm
            if kind not in _OTHER_KINDS:
                window_seconds(kind)
        return given

    @field_validator("thresholds")
    @classmethod
    def _check_methods(cls, given: dict[str, float]) -> dict[str, float]:
        unknown = [name for name in given if name not in DRIFT_METHODS.all()]
        if unknown:
            raise ValueError(
                f"there is no method {some_of(unknown)}; there are: "
                f"{some_of(DRIFT_METHODS.all())}"
            )
        return given

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> DriftPolicy:
        """Read ``{"alpha": 0.01, "needed": 2, "among": 3, ...}``.

        Raises:
            DriftError: If it is no policy; says where.
        """
        if not isinstance(payload, Mapping):
            raise DriftError(
                "a drift policy is a mapping of rules, such as needed: 2 and among: 3"
            )
        return cls(**{str(name): rule for name, rule in payload.items()})

    @classmethod
    def from_file(cls, path: str | Path) -> DriftPolicy:
        """Read a policy from a YAML, TOML or JSON file.

        Raises:
            DriftError: If it can't be read; names the file and the place.
        """
        file = Path(path)
        try:
            return cls.from_dict(read_data(file))
        except (OSError, ValueError) as err:
            raise DriftError(f"{file} can't be read as a drift policy: {err}") from err

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, which :meth:`from_dict` reads back."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def detector(self) -> DriftDetector:
        """The detector that judges a single window."""
        return DriftDetector(
            min_rows=self.min_rows,
            alpha=self.alpha,
            thresholds=self.thresholds,
            judge_volume=self.judge_volume,
            judge_datetimes=self.judge_datetimes,
        )

    def compare(
        self,
        reference: Path,
        window: Any,
        *,
        kind: str | None = None,
        start: str | None = None,
        end: str | None = None,
    ) -> DriftReport:
        """Compare a window with a version's reference by these rules.

        Args:
            reference: The profile that was saved with the version; its seasons lie
                beside it.
            window: Its profile, or rows.
            kind: Its length, such as ``week``.
            start: When it begins, ISO 8601; a season needs it.
            end: When it ends, ISO 8601; without it nothing is asked about how new its
                rows are.

        Raises:
            DriftError: If something can't be read, ``start`` or ``end`` is no time, or
                the policy's clock holds no dates or times.
        """
        expected, notes = self._reference(reference, start)
        report = self.detector().detect(
            expected,
            window,
            kind=kind if self.learn_thresholds else None,
            ignore=self.ignore,
            freshness=self._freshness(end),
        )
        return report.model_copy(update={"findings": (*report.findings, *notes)})

    def _freshness(self, end: str | None) -> Freshness | None:
        if not self.fresh_hours or end is None:
            return None
        within = timedelta(hours=self.fresh_hours)
        return Freshness(moment_of(end), within, self.clock or None)

    def _reference(
        self, path: Path, start: str | None
    ) -> tuple[DriftProfile, list[Finding]]:
        """That of the season, or that of all rows and why."""
        if not self.season:
            return DriftProfile.load(path), []
        seasonal = SeasonalReference.beside(path)
        if seasonal is None or seasonal.season != self.season:
            kept = "none" if seasonal is None else f"those by {seasonal.season}"
            why = (
                f"the version keeps {kept}; register one whose reference is a "
                "SeasonalReference"
            )
        elif start is None:
            why = "nobody said when the window begins"
        elif not seasonal.has(moment_of(start)):
            why = f"the reference has no rows of the {self.season} of {start[:10]}"
        else:
            return seasonal.at(moment_of(start)), []
        note = Finding(
            column=None,
            kind="no_season",
            severity="note",
            sentence=f"The policy asks for seasons by {self.season}, and {why}; the "
            "window is compared with all of the reference.",
        )
        return DriftProfile.load(path), [note]

    @property
    def looks_back(self) -> bool:
        """Whether earlier windows matter."""
        return self.among > 1 or self.cooldown_days > 0

    def judge(
        self, window: JudgedWindow, earlier: Iterable[JudgedWindow] = ()
    ) -> DriftVerdict:
        """Whether a window is an alarm.

        The answer is the same when the window is judged again later: only windows that
        end before it count, in their own time and not the clock's.

        Args:
            window: What was found in it; its ``alarm`` is not looked at.
            earlier: Windows of the same version, oldest record first.
        """
        if not window.drifted:
            return DriftVerdict(False, "nothing to raise an alarm about")
        if self.windows and window.kind not in self.windows:
            return DriftVerdict(
                False, f"a {window.kind} raises no alarm by this policy"
            )
        before = _before(window, earlier)
        last = before[-(self.among - 1) :] if self.among > 1 else []
        drifted = 1 + sum(each.drifted for each in last)
        if drifted < self.needed:
            return DriftVerdict(
                False,
                f"{drifted} of the last {self.among} {window.kind}s drifted, and the "
                f"policy asks for {self.needed}",
            )
        for each in reversed(before):
            if each.alarm and window.end - each.end < self._cooldown:
                return DriftVerdict(
                    False,
                    f"an alarm on the {window.kind} to {each.end:%Y-%m-%d} is less than "
                    f"{self.cooldown_days:g} days older",
                )
        return DriftVerdict(True, "an alarm by the policy")

    @property
    def _cooldown(self) -> timedelta:
        return timedelta(days=self.cooldown_days)


def _before(
    window: JudgedWindow, earlier: Iterable[JudgedWindow]
) -> list[JudgedWindow]:
    """Windows like this one that end before it, in order; of each the newest record."""
    alike: dict[tuple[datetime, datetime], JudgedWindow] = {
        (each.end, each.start): each
        for each in earlier
        if (each.deployment, each.kind) == (window.deployment, window.kind)
        and each.end < window.end
    }
    return [alike[key] for key in sorted(alike)]


def moment_of(text: str) -> datetime:
    """A moment in ISO 8601; UTC where no time zone is written.

    Raises:
        DriftError: If it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        raise DriftError(
            f"{text[:60]!r} is no time; write it such as 2026-11-01 or "
            "2026-11-01T12:00:00+00:00"
        ) from err
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
