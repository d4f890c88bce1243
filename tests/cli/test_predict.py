"""``brixa predict``: one row in the terminal, many in the file."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.filterwarnings(
    # The models of these tests are scikit-learn's, whose format runs code; that is told.
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


def test_a_file_is_predicted_once_and_not_written_over(
    run, storage: Path, tmp_path: Path
):
    given, out = str(storage / "same.parquet"), str(tmp_path / "scored.csv")
    code, said, err = run("predict", "delays@^1", given, out, "--id", "a")
    assert code == 0, err
    assert said.startswith("delays 1.0.0 predicted 600 rows in ") and out in said
    assert f"drift profile of the rows: {out}.profile.parquet" in said
    assert list(pd.read_csv(out))[:2] == ["a", "prediction"]
    code, said, err = run("predict", "delays", given, out)
    assert (code, said) == (1, "") and "is there already" in err
    code, said, _ = run("predict", "delays", given, out, "--overwrite", "--json")
    assert code == 0 and json.loads(said)["rows"] == 600
    code, said, _ = run("drift", "check", "delays", f"{out}.profile.parquet", "--json")
    assert (code, json.loads(said)["status"]) == (0, "ok")
