"""``brixa predict``: files or a query in, the same rows with predictions out."""

from __future__ import annotations

from typing import Literal

import click

from brixa_flows.cli.workspace import MODEL_REF, Workspace, as_json, json_option
from brixa_flows.refs import ModelRef

__all__ = ["predict"]


@click.command("predict")
@click.argument("ref", type=MODEL_REF)
@click.argument("source", metavar="IN")
@click.argument("output", metavar="OUT")
@click.option("--query", metavar="SQL", help="What to read where IN is a database.")
@click.option("--table", metavar="NAME", help="What to write where OUT is a database.")
@click.option(
    "--id", "ids", multiple=True, metavar="COLUMN", help="Keep these columns, not all."
)
@click.option(
    "--overwrite", is_flag=True, help="Replace OUT when the new one is whole."
)
@click.option("--batch-rows", type=click.IntRange(min=1), help="Rows asked at once.")
@click.option(
    "--resume", is_flag=True, help="Go on behind the rows of one that was killed."
)
@click.option("--trust", type=click.Choice(["code"]), help="Let the version run code.")
@json_option
@click.pass_obj
def predict(
    workspace: Workspace,
    ref: ModelRef,
    source: str,
    output: str,
    query: str | None,
    table: str | None,
    ids: tuple[str, ...],
    overwrite: bool,
    batch_rows: int | None,
    resume: bool,
    trust: Literal["code"] | None,
    json_output: bool,
) -> None:
    """Predict every row of IN and write OUT, whole or not at all.

    IN is a CSV or Parquet file, folder or glob; OUT ends in .csv or .parquet. Either may
    be the address of a database, such as postgresql://host/db or sqlite:///file.db.
    """
    from brixa_flows.prediction import score

    report = score(
        workspace.registry,
        ref.name,
        ref.spec,
        source,
        output,
        query=query,
        table=table,
        ids=ids,
        overwrite=overwrite,
        batch_rows=batch_rows,
        trust=trust,
        resume=resume,
    )
    if json_output:
        as_json(report.to_dict())
        return
    click.echo(
        f"{report.model_name} {report.version} predicted {report.rows} rows in "
        f"{report.seconds:.1f} s: {report.output}"
    )
    if report.profile:
        click.echo(f"drift profile of the rows: {report.profile}")
