"""README and docs show pictures that `make screenshots` writes, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from docs.screenshots import BYTES_AT_MOST, IMAGES, PICTURES

ROOT = Path(__file__).parents[1]


def _shown() -> set[Path]:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    return {
        (page.parent / place).resolve()
        for page in pages
        for place in re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text())
    }


def test_each_picture_is_shown_and_each_one_shown_is_written_by_the_program() -> None:
    written = {IMAGES / f"{picture.name}.png" for picture in PICTURES}
    assert _shown() == written == set(IMAGES.iterdir())


def test_pictures_are_small_enough_to_be_carried_along() -> None:
    assert max(file.stat().st_size for file in IMAGES.iterdir()) <= BYTES_AT_MOST
