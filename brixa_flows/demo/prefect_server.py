"""``python -m brixa_flows.demo.prefect_server``: Prefect's server, patient on sqlite.

The database is the one of Prefect's settings; only one of sqlite is treated otherwise.

Prefect's API reads before it writes in one DEFERRED transaction. If another one commits
in between, sqlite refuses the write at once, whatever its timeout says; the API answers
503 and the client asks again 2 s later. An automation that creates a run while another
run ends is met by that on most hops of the loop. A transaction that begins IMMEDIATE
waits for its turn instead, which is milliseconds. PostgreSQL needs none of this, so
there Prefect's own configuration stays.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.cli import app
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.settings import get_current_settings
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

__all__ = ["PatientSqlite"]


class PatientSqlite(AioSqliteConfiguration):
    """Prefect's sqlite database, whose transactions wait for one another."""

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begin IMMEDIATE, whatever the caller asks for."""
        async with super().begin_transaction(session, with_for_update=True) as begun:
            yield begun


def main() -> None:
    """Run ``prefect server start`` with the arguments of this process."""
    url = get_current_settings().server.database.connection_url
    assert url is not None  # Prefect's settings make it from its home
    if make_url(url.get_secret_value()).get_backend_name() == "sqlite":
        MODELS_DEPENDENCIES["database_config"] = PatientSqlite(url.get_secret_value())
    sys.argv[1:1] = ["server", "start"]
    app()


if __name__ == "__main__":
    main()
