"""Whatever byte of the manifest is flipped, the manifest is named and no other file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from brixa_flows.errors import BrixaError, DamagedArtifactError
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


def test_any_flipped_byte_of_the_manifest_is_blamed_on_the_manifest(
    registry: ModelRegistry, storage: LocalStorageNode, save: SaveVersion
) -> None:
    save("m", "1.0.0", hyperparameters={"depth": 3})
    manifest = storage.root / "models" / "m" / "1.0.0" / "config.json"
    whole = manifest.read_bytes()
    doors: list[Callable[[str, str], object]] = [registry.load_model, registry.verify]
    for place in range(0, len(whole), 11):
        flipped = bytes([whole[place] ^ 1])
        manifest.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        for door in doors:
            with pytest.raises(BrixaError, match=r"config\.json") as caught:
                door("m", "1.0.0")
            if isinstance(caught.value, DamagedArtifactError):
                file = str(caught.value.facts["file"])
                assert file.endswith("config.json"), caught.value
    manifest.write_bytes(whole)
    assert registry.verify("m", "1.0.0").digest.startswith("sha256:")
