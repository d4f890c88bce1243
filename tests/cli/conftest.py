"""A registry with one version, and the command run on it in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.cli import main
from brixa_flows.errors import InsecureSerializationWarning
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode

Run = Callable[..., tuple[int, str, str]]


def _frame(rows: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(shift, 1, rows), "b": rng.normal(0, 1, rows)})
    return frame.assign(late=(frame["a"] > shift).astype(int))


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, mlflow_template_db: Path) -> Path:
    """A registry with ``delays`` 1.0.0 and, beside it, rows to judge and to watch."""
    root = tmp_path_factory.mktemp("cli")
    (root / "models" / "_meta").mkdir(parents=True)
    shutil.copy(mlflow_template_db, root / "models" / "_meta" / "mlflow.db")
    rows = _frame(600)
    inputs = rows[["a", "b"]]
    model = LogisticRegression().fit(inputs, rows["late"])
    registry = ModelRegistry(LocalStorageNode(root))
    made = registry.register_model("delays", "classification", "sklearn")
    with pytest.warns(InsecureSerializationWarning):
        registry.save_model(
            "delays", made.version, model, inputs.head(), reference=inputs
        )
    sides = np.where(rows["b"] > 0, "left", "right")
    rows.assign(side=sides).to_parquet(root / "labelled.parquet")
    inputs.to_parquet(root / "same.parquet")
    _frame(600, shift=2)[["a", "b"]].to_parquet(root / "moved.parquet")
    return root


@pytest.fixture
def run(storage: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--storage", str(storage), *arguments])
        printed = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), printed.out, printed.err

    return call
