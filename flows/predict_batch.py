"""Predict many rows at once, and watch them for drift."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from brixa_flows.events import WindowKind
from brixa_flows.tasks.names import ModelName, OptionalVersionSpec
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.requests import FlowRequest
from brixa_flows.tasks.scoring import predict_rows, publish_scoring, window_of
from brixa_flows.tasks.watching import watch_scored


class PredictRequest(FlowRequest):
    """Which rows, by which version, to where."""

    name: ModelName = Field(description="Model.")
    version: OptionalVersionSpec = Field(
        "",
        description="Version, stage, alias or constraint; empty is production, else "
        "the highest stable one.",
    )
    source: str = Field(
        description="CSV or Parquet file, folder or glob; or a database's address, "
        "without a password: Prefect shows parameters."
    )
    output: str = Field(description=".csv or .parquet file; or a database's address.")
    query: str = Field("", description="What to read from a database.")
    table: str = Field("", description="What to write into a database.")
    ids: list[str] = Field([], description="Columns to keep; all if there are none.")
    overwrite: bool = Field(False, description="Replace an output that is there.")
    start: str = Field(
        "", description="Begin of the rows, ISO 8601; empty judges nothing."
    )
    end: str = Field("", description="Their end, not included, ISO 8601.")
    kind: WindowKind = "sample"
    policy: str = Field(
        "", description="Brixa Drift Policy block; without one every drift is an alarm."
    )
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(
    name="predict_batch",
    flow_run_name="predict many rows by {request.name}",
    description="Predicts files or a query, writes them, and watches them: how good "
    "the version was, and whether the rows drifted.",
)
@links_remedy
def predict_batch(request: PredictRequest) -> None:
    """Predict, show; watch the rows if it is known of which time they are."""
    report = predict_rows(
        request.registry,
        request.name,
        request.version,
        request.source,
        request.output,
        query=request.query or None,
        table=request.table or None,
        ids=request.ids,
        overwrite=request.overwrite,
        judge=bool(request.start),
    )
    publish_scoring(report)
    if request.start:
        window = window_of(report, request.start, request.end, request.kind)
        watch_scored(request.registry, report, window, request.policy)
