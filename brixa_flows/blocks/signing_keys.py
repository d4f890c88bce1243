"""The block of a key that signs new versions."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from brixa_flows.blocks.appearance import DOCUMENTATION, LOGO
from brixa_flows.errors import SigningKeyError
from brixa_flows.passing_folders import passing_folder

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["BrixaSigningKeys"]

_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----(.+?)-----END \1-----", re.S)
_PEM_COLUMNS = 64


class BrixaSigningKeys(Block):
    """A key that vouches for new versions.

    Example:
        Load a stored key and sign a version:
        ```python
        from brixa_flows.blocks import BrixaRegistry
        from brixa_flows.blocks import BrixaSigningKeys

        registry = BrixaRegistry.load("BLOCK_NAME").open()
        keys = BrixaSigningKeys.load("BLOCK_NAME")
        keys.sign(registry, "flights-delay", "1.0.0")
        ```
    """

    _block_type_name = "Brixa Signing Keys"
    _block_type_slug = "brixa-signing-keys"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    key: str = Field(description="Name of the key, as `brixa key new` gave it.")
    keys_path: str = Field(
        "",
        description="Folder of keys on the worker; empty means BRXA_KEYS_PATH of the "
        "worker.",
    )
    pem: SecretStr = Field(
        SecretStr(""),
        description="The private key itself, as the file NAME.pem holds it, for workers "
        "without such a folder.",
    )
    passphrase: SecretStr = Field(
        SecretStr(""), description="Passphrase of the key, if it is encrypted."
    )

    def sign(self, registry: ModelRegistry, name: str, version: str) -> None:
        """Sign every file of a version; signatures of others stay.

        Args:
            registry: Where the version is.
            name: Model.
            version: Exact version.

        Raises:
            BrixaError: If the key can't be used or the files are not those that were
                saved.
        """
        from brixa_flows.registry import ModelRegistry

        with self._folder() as folder:
            settings = registry.settings
            if folder:
                settings = settings.model_copy(update={"keys_path": folder})
            signing = ModelRegistry(
                registry.storage, tracking=registry.tracking, settings=settings
            )
            passphrase = self.passphrase.get_secret_value() or None
            signing.sign(name, version, key=self.key, passphrase=passphrase)

    @contextmanager
    def _folder(self) -> Iterator[str]:
        """Folder with the key; one that is ours alone for a key in the block."""
        pem = self.pem.get_secret_value()
        if not pem:
            yield self.keys_path
            return
        with passing_folder("keys") as folder:
            file = folder / f"{self.key}.pem"
            file.touch(mode=0o600)
            file.write_text(_folded(pem, self.key))
            yield str(folder)


def _folded(pem: str, key: str) -> str:
    """A PEM with its lines, which a form's password field takes away."""
    found = _PEM.search(pem)
    if found is None:
        raise SigningKeyError(
            key, "is no PEM in its block; paste all of NAME.pem, both dashed lines too"
        )
    kind, body = found.group(1), re.sub(r"\\n|\s", "", found.group(2))
    lines = textwrap.wrap(body, _PEM_COLUMNS)
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])
