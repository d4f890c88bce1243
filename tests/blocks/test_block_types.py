"""The block types are as Prefect's own suite wants them, and keep what they are given."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import HttpUrl

import brixa_flows
from blocks.policies import policies
from brixa_flows import blocks as blocks_room
from brixa_flows.blocks import (
    BrixaDriftPolicy,
    BrixaGatePolicy,
    BrixaRegistry,
    BrixaStorage,
)
from brixa_flows.drift import DriftPolicy
from brixa_flows.errors import DriftError
from brixa_flows.evaluation import Gate, GatePolicy
from brixa_flows.settings import BrixaSettings

PACKAGE = Path(brixa_flows.__file__).parent
KINDS = [
    kind
    for kind in (getattr(blocks_room, name) for name in blocks_room.__all__)
    if isinstance(kind, type) and issubclass(kind, Block)
]


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def logo_url() -> Iterator[str]:
    """Where a team would serve the bundled logo."""
    handler = functools.partial(_QuietHandler, directory=str(PACKAGE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/logo.png"
        server.shutdown()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # prefect 3.8, 2026-11
class TestBlocksAsPrefectWantsThem(BlockStandardTestSuite):
    """All of Prefect's suite; its logo test downloads what BRXA_LOGO_URL names."""

    @pytest.fixture(params=KINDS)
    def block(
        self,
        request: pytest.FixtureRequest,
        logo_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> type[Block]:
        kind: type[Block] = request.param
        monkeypatch.setattr(kind, "_logo_url", HttpUrl(logo_url))
        return kind


@pytest.mark.parametrize("address", ["", "https://team.example/brixa/logo.png"])
def test_the_logo_is_where_the_setting_says_and_nowhere_else(address: str) -> None:
    code = "from brixa_flows.blocks import BrixaRegistry as b; print(b._logo_url or '')"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "BRXA_LOGO_URL": address},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert printed.strip() == address


def test_the_documentation_is_the_page_of_the_package() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    page = f"https://pypi.org/project/{project['name']}/"
    assert str(BrixaRegistry._documentation_url) == page


def test_loading_the_block_types_loads_no_other_heavy_library() -> None:
    """Prefect does it in each of its processes."""
    code = (
        "import sys, prefect, prefect.blocks.core\n"
        "before = set(sys.modules)\n"
        "import brixa_flows.blocks\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "brixa_flows" in printed.split()
    assert not {"mlflow", "numpy", "pandas", "scipy", "sklearn"} & set(printed.split())


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_of_a_form_offers_alternatives(kind: type[Block]) -> None:
    schema = str(kind.model_json_schema())
    assert not {"anyOf", "oneOf"} & set(re.findall(r"'(\w+)':", schema))


def test_the_registry_of_the_environment_is_the_same_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    block = BrixaRegistry.from_settings(BrixaSettings(storage_path="./data"))
    assert block.storage.path == str(tmp_path / "data")
    bucket = BrixaSettings(storage_type="s3", storage_path="s3://bucket/x")
    assert BrixaStorage.from_settings(bucket).path == "s3://bucket/x"


def test_a_registry_block_opens_the_registry_it_describes(tmp_path: Path) -> None:
    storage = BrixaStorage(path=str(tmp_path))
    registry = BrixaRegistry(storage=storage, trust_policy="strict").open()
    assert registry.storage.uri == tmp_path.as_uri()
    assert registry.settings.trust_policy == "strict"


def test_a_policy_that_asks_a_person_survives_the_trip_through_its_block() -> None:
    asks = GatePolicy([Gate("f1", min=0.8)], name="p", approval={"hours": 2.5})
    block = BrixaGatePolicy.from_policy(asks)
    assert block.approval_hours == 2.5
    assert block.policy("p") == asks
    silent = BrixaGatePolicy.from_policy(GatePolicy([Gate("f1", min=0.8)]))
    assert silent.approval_hours == 0 and silent.policy("p").approval is None


def test_the_projects_policies_survive_the_trip_through_their_blocks() -> None:
    found = {name: block.policy(name).gates for name, block in policies()}
    assert {name: [*map(str, gates)] for name, gates in found.items()} == {
        "production": ["roc_auc >= 0.6", "roc_auc better than production"],
        "staging": ["roc_auc >= 0.6"],
    }


def test_a_drift_policy_says_which_rules_can_not_be() -> None:
    assert BrixaDriftPolicy(windows=["month"], needed=2, among=3).policy().among == 3
    policy = DriftPolicy(thresholds={"ks": 0.2}, judge_volume=True, ignore=("id",))
    assert BrixaDriftPolicy.from_policy(policy).policy() == policy
    with pytest.raises(DriftError, match="4 windows of 3 can't drift"):
        BrixaDriftPolicy(needed=4, among=3).policy()
