"""``python -m blocks``: saves every document of the project."""

from __future__ import annotations

from blocks.policies import policies
from blocks.registry import registry


def main() -> None:
    """Save them, replacing earlier ones of the same name."""
    for name, block in (registry(), *policies()):
        block.save(name, overwrite=True)
        print(f"saved {block.get_block_type_slug()}/{name}")


if __name__ == "__main__":
    main()
