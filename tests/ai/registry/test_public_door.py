"""What the public import path offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import brixa.ai.registry
import brixa.storage

HEAVY = "mlflow prefect torch tensorflow ray evidently sklearn pandas transformers"


def test_every_name_is_there_once_in_order() -> None:
    for module in (brixa.ai.registry, brixa.storage):
        names = module.__all__
        assert names == sorted(set(names))
        assert all(hasattr(module, name) for name in names)


def test_the_import_loads_no_heavy_library() -> None:
    code = (
        "import sys, brixa.ai.registry, brixa.storage.local, brixa.storage\n"
        f"print(sorted(set(sys.modules) & set({HEAVY.split()!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
