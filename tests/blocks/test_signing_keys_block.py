"""A key in a block, or one on the worker, signs what is registered."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from sklearn.linear_model import LogisticRegression

from brixa_flows.blocks import BrixaSigningKeys
from brixa_flows.errors import SigningKeyError
from brixa_flows.registry import ModelRegistry
from brixa_flows.settings import BrixaSettings
from brixa_flows.signing import KeyRing
from brixa_flows.storage import open_storage
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)
PASSPHRASE = "between us"


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    ring = KeyRing(tmp_path / "keys")
    ring.new("ci", PASSPHRASE)
    return ring


@pytest.fixture
def registry(tmp_path: Path, keys: KeyRing) -> ModelRegistry:
    """Trusts the key; holds one version that nobody signed."""
    registry = ModelRegistry(
        open_storage(str(tmp_path / "storage")),
        tracking=MemoryTrackingStore(),
        settings=BrixaSettings(keys_path=str(keys.folder)),
    )
    registry.register_model(name="m", model_type="classification", framework="sklearn")
    registry.save_model("m", "1.0.0", LogisticRegression().fit([[0], [1]], [0, 1]))
    return registry


def _block(keys: KeyRing, how: str) -> BrixaSigningKeys:
    pem = (keys.folder / "ci.pem").read_text()
    texts = {"folder": "", "file": pem, "form": " ".join(pem.split("\n"))}
    return BrixaSigningKeys(
        key="ci",
        keys_path=str(keys.folder) if how == "folder" else "",
        pem=SecretStr(texts[how]),
        passphrase=SecretStr(PASSPHRASE),
    )


@pytest.mark.parametrize("how", ["folder", "file", "form"])
def test_a_key_on_the_worker_or_in_the_block_signs_a_version(
    registry: ModelRegistry, keys: KeyRing, how: str
) -> None:
    assert registry.verify("m", "1.0.0").signers == ()
    _block(keys, how).sign(registry, "m", "1.0.0")
    assert registry.verify("m", "1.0.0").signers == ("ci",)


def test_what_is_no_key_is_told_without_saying_what_it_is(
    registry: ModelRegistry,
) -> None:
    block = BrixaSigningKeys(key="ci", pem=SecretStr("hunter2"))
    with pytest.raises(SigningKeyError, match="is no PEM") as caught:
        block.sign(registry, "m", "1.0.0")
    assert "hunter2" not in str(caught.value)
