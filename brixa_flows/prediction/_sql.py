"""Adapter: rows of a query as Arrow tables, and a table that appears when it is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from brixa_flows.errors import DatasetError
from brixa_flows.passing_folders import passing_folder
from brixa_flows.prediction._outputs import Output, opened_file

__all__ = ["opened_table", "read_query", "shown"]

_ROWS_AT_ONCE = 5_000


def read_query(url: str, query: str, rows: int) -> Iterator[pa.Table]:
    """Tables of at most ``rows`` rows; the server keeps the rest.

    Raises:
        DatasetError: If the database can't be reached or refuses the query.
    """
    with _told(url), _engine(url).connect() as connection:
        streamed = connection.execution_options(stream_results=True, yield_per=rows)
        result = streamed.execute(sa.text(query))
        names = list(result.keys())
        schema: pa.Schema | None = None
        for part in result.partitions(rows):
            table = _table(names, part, schema)
            schema = _known(schema, table.schema)
            yield table


def _table(
    names: Sequence[str], rows: Sequence[Any], schema: pa.Schema | None
) -> pa.Table:
    columns = {}
    for place, name in enumerate(names):
        values = [_plain(row[place]) for row in rows]
        kind = schema.field(name).type if schema is not None else None
        try:
            columns[name] = pa.array(values, None if kind == pa.null() else kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as err:
            raise DatasetError(
                f"column {name!r} of the query holds values of different types: {err}"
            ) from err
    return pa.table(columns)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _known(before: pa.Schema | None, now: pa.Schema) -> pa.Schema:
    """Types as first seen; a column that was all missing takes what comes later."""
    if before is None:
        return now
    fields = [
        new if old.type == pa.null() else old
        for old, new in zip(before, now, strict=True)
    ]
    return pa.schema(fields)


def _engine(url: str) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.NullPool)


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except ImportError as err:
        raise DatasetError(
            f"{shown(url)}: its driver is not installed ({err}); install it, or name one "
            "that is, such as postgresql+psycopg2://"
        ) from err
    except SQLAlchemyError as err:
        reason = str(getattr(err, "orig", None) or err).splitlines()[0]
        raise DatasetError(f"{shown(url)}: {reason}") from err


def shown(url: str) -> str:
    """The address without its password."""
    try:
        return sa.engine.make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "the address of the database"


@contextlib.contextmanager
def opened_table(url: str, name: str, *, overwrite: bool) -> Iterator[Output]:
    """A table that appears under its name when every row is in it, or never.

    Rows wait in a temporary file until all are there, so that a long query and a long
    transaction never wait for each other.

    Args:
        url: SQLAlchemy's address of the database.
        name: Of the table.
        overwrite: Whether one that is there is replaced at the end.

    Raises:
        DatasetError: If it is there, or the database refuses.
    """
    with _told(url), _engine(url).connect() as connection:
        _refuse_present(connection, url, name, overwrite)
    with passing_folder("scored") as folder:
        rows = folder / "rows.parquet"
        with opened_file(rows, overwrite=False) as output:
            yield output
        with _told(url), _engine(url).connect() as connection:
            _refuse_present(connection, url, name, overwrite)
            _fill(connection, name, pq.ParquetFile(rows), overwrite)


def _refuse_present(
    connection: sa.Connection, url: str, name: str, overwrite: bool
) -> None:
    if sa.inspect(connection).has_table(name) and not overwrite:
        raise DatasetError(
            f"the table {name!r} is there already in {shown(url)}; name another one, or "
            "say --overwrite (overwrite=True)"
        )
    connection.rollback()


def _fill(
    connection: sa.Connection, name: str, rows: pq.ParquetFile, overwrite: bool
) -> None:
    """Into a staging table, which takes the name at the end."""
    columns = [sa.Column(f.name, _sql_type(f.type)) for f in rows.schema_arrow]
    staging = sa.Table(f"{name}__partial", sa.MetaData(), *columns)
    try:
        staging.drop(connection, checkfirst=True)  # of one that was killed
        staging.create(connection)
        for batch in rows.iter_batches(_ROWS_AT_ONCE):
            connection.execute(staging.insert(), batch.to_pylist())
        quote = connection.dialect.identifier_preparer.quote
        if overwrite:
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {quote(name)}"))
        renamed = f"ALTER TABLE {quote(staging.name)} RENAME TO {quote(name)}"
        connection.execute(sa.text(renamed))
        connection.commit()
    except BaseException:
        connection.rollback()
        with contextlib.suppress(SQLAlchemyError):
            staging.drop(connection, checkfirst=True)
            connection.commit()
        raise


def _sql_type(kind: pa.DataType) -> Any:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for matches, found in (
        (pa.types.is_boolean, sa.Boolean()),
        (pa.types.is_integer, sa.BigInteger()),
        (pa.types.is_floating, sa.Double()),
        (pa.types.is_date, sa.Date()),
        (pa.types.is_timestamp, sa.DateTime(timezone=True)),
        (pa.types.is_binary, sa.LargeBinary()),
    ):
        if matches(kind):
            return found
    return sa.Text()
