"""A person's first hour: a script of their own, then the same from other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = '''
"""What a newcomer writes: the class lives in the script itself."""
import warnings

import torch
from torch import nn

from brixa.ai.registry import InsecureSerializationWarning, ModelRegistry, ModelVersion
from brixa.storage.local import LocalStorageNode


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(10, 2)

    def forward(self, batch):
        return self.layer(batch)


if __name__ == "__main__":
    storage = LocalStorageNode("./model_storage")
    registry = ModelRegistry(storage)
    model = Scorer()
    metadata = registry.register_model(
        name="sentiment-analysis",
        model_type="text-classification",
        framework="pytorch",
        description="Scores of short texts",
    )
    assert metadata.name == "sentiment-analysis"
    assert metadata.version == ModelVersion(1, 0, 0)
    registry.save_model(metadata.name, metadata.version, model)

    loaded = registry.load_model("sentiment-analysis")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    again = registry.load_model("sentiment-analysis", device=device)
    batch = torch.ones(3, 10, device=device)
    with torch.no_grad():
        assert torch.equal(again(batch), model.to(device)(batch))
        assert torch.equal(loaded.to(device)(batch), again(batch))
    registry.transition("sentiment-analysis", "1.0.0", "production", reason="first")
    print("done", next(loaded.parameters()).device)
'''

OTHER_PROCESS = """
import torch
from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode

registry = ModelRegistry(LocalStorageNode("./model_storage"))
model = registry.load_model("sentiment-analysis", "production", device="cpu")
print(type(model).__name__, tuple(model(torch.ones(3, 10)).shape))
"""


def run(path: Path, content: str) -> subprocess.CompletedProcess[str]:
    path.write_text(content)
    return subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": ""},
    )


def test_a_script_with_its_own_class_saves_and_another_process_loads(
    folder: Path, tmp_path: Path
) -> None:
    first = run(tmp_path / "train.py", SCRIPT)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("done")
    assert "InsecureSerializationWarning" in first.stderr
    assert "train.py" in first.stderr
    second = run(tmp_path / "serve.py", OTHER_PROCESS)
    assert second.returncode == 0, second.stderr
    assert second.stdout.strip() == "Scorer (3, 2)"
    saved = {
        path.name for path in (folder / "models/sentiment-analysis/1.0.0").iterdir()
    }
    assert {"model.pt", "config.json", "MLmodel", "README.md", "lineage.json"} <= saved
