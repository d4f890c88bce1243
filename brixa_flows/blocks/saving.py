"""Documents that a project keeps as code, saved as often as one likes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prefect.blocks.core import Block
from pydantic import SecretStr

__all__ = ["save_documents"]


def save_documents(documents: Iterable[tuple[str, Block]]) -> Iterator[str]:
    """Save documents one by one, in place of earlier ones of the same names.

    What the code leaves empty stays as it was typed in the Prefect UI: users,
    passwords, addresses. A block within another one is referred to if it was saved
    before it.

    Args:
        documents: Names and blocks.

    Yields:
        What was saved, as ``type/name``.
    """
    for name, block in documents:
        _keep_what_was_typed(name, block)
        block.save(name, overwrite=True)
        yield f"{block.get_block_type_slug()}/{name}"


def _keep_what_was_typed(name: str, block: Block) -> None:
    empty = [
        field for field in type(block).model_fields if _is_empty(getattr(block, field))
    ]
    if not empty:
        return
    try:
        stored = type(block).load(name, validate=False)
    except ValueError:
        return  # Prefect's word for a document that is not there
    for field in empty:
        kept = getattr(stored, field, None)
        if isinstance(kept, str | SecretStr):
            setattr(block, field, kept)


def _is_empty(value: object) -> bool:
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    return plain == ""
