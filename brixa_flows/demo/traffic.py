"""The caller of the model: sends real flights to its endpoint and says what it sent.

Its imports are heavy (pandas): the demo reaches it through ``importlib``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from brixa_flows.demo import flights
from brixa_flows.demo.months import first_day, month_after, month_file, months_between
from brixa_flows.deployment import encode_frame, predict_frame

__all__ = [
    "Window",
    "ask_endpoint",
    "curl_line",
    "late_auc",
    "month_window",
    "sample_window",
    "shadow_scores",
    "week_windows",
    "write_inputs",
    "write_months",
]

_ROWS_A_REQUEST = 5000
_WEEK_DAYS = 7


@dataclass(frozen=True)
class Window:
    """A stretch of traffic.

    Attributes:
        kind: ``week``, ``month`` or ``sample``.
        start: First day.
        end: The day after the last.
        rows: The labelled flights.
    """

    kind: str
    start: str
    end: str
    rows: pd.DataFrame


def write_months(folder: Path, months: list[str]) -> dict[str, int]:
    """Write one labelled Parquet file a month.

    Returns:
        Rows by month.
    """
    written = {}
    for month in months:
        rows = _between(month)
        rows.to_parquet(folder / f"{month}.parquet", index=False)
        written[month] = len(rows)
    return written


def _between(month: str) -> pd.DataFrame:
    return flights.window_rows(first_day(month), first_day(month_after(month)))


def month_window(data: Path, month: str) -> Window:
    """A month of traffic."""
    rows = pd.read_parquet(month_file(data, month))
    start, end = first_day(month), first_day(month_after(month))
    return Window("month", start.isoformat(), end.isoformat(), rows)


def week_windows(data: Path, month: str) -> list[Window]:
    """The whole weeks of a month, counted from its first day."""
    start = pd.Timestamp(first_day(month))
    after = pd.Timestamp(first_day(month_after(month)))
    rows = pd.read_parquet(month_file(data, month))
    local = rows[flights.TIME].dt.tz_convert(flights.TIME_ZONE).dt.tz_localize(None)
    week = pd.Timedelta(days=_WEEK_DAYS)
    windows = []
    while start + week <= after:
        part = rows[(local >= start) & (local < start + week)].reset_index(drop=True)
        begin, end = start.date().isoformat(), (start + week).date().isoformat()
        windows.append(Window("week", begin, end, part))
        start += week
    return windows


def sample_window(held_out_uri: str, first: str, last: str) -> Window:
    """Held-out rows of the training's own months: nothing has changed in them."""
    months = months_between(first, last)
    start, end = first_day(months[0]), first_day(month_after(months[-1]))
    rows = pd.read_parquet(held_out_uri)
    return Window("sample", start.isoformat(), end.isoformat(), rows)


def write_inputs(window: Window, folder: Path) -> str:
    """Write what was sent in a window (no labels: they come later)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{window.kind}-{window.start}-{window.end}.parquet"
    window.rows[flights.FEATURES].to_parquet(path, index=False)
    return str(path)


def late_auc(rows: pd.DataFrame, scores: NDArray[np.float64]) -> float:
    """Area under the ROC curve of scores for flights that arrived late."""
    return float(roc_auc_score(rows[flights.TARGET], scores))


def shadow_scores(predictor: Any, rows: pd.DataFrame) -> NDArray[np.float64]:
    """What a version says that no longer serves."""
    with threadpool_limits(1):  # beside flow runs and the endpoint
        scores = predictor.predict(rows[flights.FEATURES]).scores
    assert scores is not None
    return np.asarray(scores)[:, 1]


def ask_endpoint(endpoint: str, model: str, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Ask a deployment for the probability of being late.

    Args:
        endpoint: Base URL of the deployment.
        model: Name of the model.
        rows: Flights of shape (n_rows, n_columns).

    Returns:
        Of shape (n_rows,).

    Raises:
        DeploymentError: If the endpoint fails; BadRequestError if it refuses.
    """
    answer = predict_frame(
        endpoint, model, rows[flights.FEATURES], batch_rows=_ROWS_A_REQUEST
    )
    assert answer.scores is not None
    return np.asarray(answer.scores)[:, 1]


def curl_line(endpoint: str, model: str, rows: pd.DataFrame) -> str:
    """A command that asks the endpoint about the first of some flights."""
    request = {"inputs": encode_frame(rows[flights.FEATURES].head(1))}
    body = json.dumps(request)
    header = "-H 'Content-Type: application/json'"
    return f"curl -s {endpoint}/v2/models/{model}/infer {header} -d '{body}'"
