"""The training of the demo's team: months of flights in, a logged MLflow model out.

It stands for code that a team has before it meets the loop, so it knows MLflow and no
registry. Its imports are heavy: flows reach it through ``importlib``.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow import MlflowClient
from sklearn import __version__ as sklearn_version
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from brixa_flows.demo import flights
from brixa_flows.demo.months import month_file, months_between

__all__ = ["Fitted", "Logged", "Split", "fit", "log_model", "split_months"]

Candidate = Literal["boosting", "baseline"]
_SEED = 0
_MODEL = "model"


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows to keep away from the training.

    Attributes:
        training: Rows to train on.
        held_out: A random share of the same months.
        training_uri: Parquet of the training rows.
        held_out_uri: Parquet of the held-out rows.
        digest: Of the training rows' content.
    """

    training: pd.DataFrame
    held_out: pd.DataFrame
    training_uri: str
    held_out_uri: str
    digest: str


@dataclass(frozen=True)
class Fitted:
    """A trained model and what is worth knowing of it."""

    model: Any
    hyperparameters: dict[str, Any]
    metrics: dict[str, float]
    description: str


@dataclass(frozen=True)
class Logged:
    """Where MLflow keeps it."""

    model_uri: str
    run_id: str


def split_months(
    data: Path | str, first: str, last: str, held_out_share: float, folder: Path | str
) -> Split:
    """Read months, keep a random share out and write both parts down.

    Args:
        data: Folder with one Parquet file a month.
        first: First month.
        last: Last month.
        held_out_share: Share kept out, with the same share of late flights.
        folder: Where the two parts are written.

    Raises:
        DatasetError: If a month is not there.
    """
    months = months_between(first, last)
    rows = pd.concat([pd.read_parquet(month_file(data, month)) for month in months])
    training, held_out = train_test_split(
        rows,
        test_size=held_out_share,
        random_state=_SEED,
        stratify=rows[flights.TARGET],
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    uris = {}
    for name, part in (("training", training), ("held-out", held_out)):
        path = folder / f"{name}.parquet"
        part.sort_values(flights.TIME, kind="stable").to_parquet(path, index=False)
        uris[name] = str(path)
    content = pd.util.hash_pandas_object(training, index=False).to_numpy().tobytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Split(training, held_out, uris["training"], uris["held-out"], digest)


def fit(split: Split, candidate: Candidate) -> Fitted:
    """Train a candidate and measure it on the held-out rows."""
    build = {"boosting": flights.build_pipeline, "baseline": flights.build_baseline}
    model = build[candidate]()
    model.fit(split.training[flights.FEATURES], split.training[flights.TARGET])
    scores = model.predict_proba(split.held_out[flights.FEATURES])[:, 1]
    estimator = model.steps[-1][1]
    plain = {
        name: value
        for name, value in estimator.get_params().items()
        if isinstance(value, int | float | str | bool)
    }
    return Fitted(
        model=model,
        hyperparameters={"estimator": type(estimator).__name__, **plain},
        metrics={
            "roc_auc": float(roc_auc_score(split.held_out[flights.TARGET], scores))
        },
        description=(
            "gradient boosting on schedule and weather"
            if candidate == "boosting"
            else "logistic regression on carrier and origin"
        ),
    )


def log_model(
    tracking_uri: str, name: str, fitted: Fitted, tags: dict[str, str]
) -> Logged:
    """Log a run and its model, as any team on MLflow does.

    Args:
        tracking_uri: The backend.
        name: Experiment ``NAME-training`` is used, made if it is new.
        fitted: What was trained.
        tags: Tags of the run.
    """
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(tracking_uri)
    experiment_id = _experiment(MlflowClient(tracking_uri), f"{name}-training")
    with mlflow.start_run(experiment_id=experiment_id, tags=tags) as run:
        mlflow.log_params(fitted.hyperparameters)
        mlflow.log_metrics(fitted.metrics)
        mlflow.sklearn.log_model(
            fitted.model,
            name=_MODEL,
            serialization_format="cloudpickle",
            pip_requirements=[f"scikit-learn=={sklearn_version}"],
        )
    return Logged(f"runs:/{run.info.run_id}/{_MODEL}", run.info.run_id)


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    database = urlsplit(client.tracking_uri)
    location = None
    if database.scheme.startswith("sqlite"):
        beside = Path(unquote(database.path[1:])).parent
        location = (beside / "mlruns" / name).as_uri()
    return str(client.create_experiment(name, artifact_location=location))
