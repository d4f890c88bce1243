"""A real Prefect server for all tests of tasks that one process runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.processes import ProcessKeeper
from brixa_flows.demo.project import project_files
from brixa_flows.demo.stack import PrefectStack


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_to_collect() -> Iterator[None]:
    """Sockets that Prefect's clients leave are met here, where that is forgiven."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """The server; no worker."""
    home = DemoHome(tmp_path_factory.mktemp("tasks") / "home")
    home.make_fresh()
    keeper = ProcessKeeper(home)
    stack = PrefectStack(home, keeper, project_files())
    try:
        stack.start_server()
        stack.wait_for_server()
        yield stack
    finally:
        stack.close()
        keeper.stop_all()
