"""Write the golden artifacts that are not there yet; see README.md beside this file."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
MODULES = ("table_cases", "extension_cases", "torch_cases", "keras_cases")
OF_TRANSFORMERS_4 = "transformers-tf-safetensors"
sys.path[:0] = [str(HERE / "classes"), str(HERE.parents[1] / "serializers")]

from golden_files import as_json, prediction_as_json  # noqa: E402

from brixa_flows.serializers import serializer_named  # noqa: E402
from brixa_flows.testing.fresh_process import answer_of  # noqa: E402
from brixa_flows.testing.serializers import SavedVersion  # noqa: E402


def main() -> None:
    """Write one folder for each case that has none."""
    for module in MODULES:
        for case in importlib.import_module(module).CASES:
            if not (HERE / str(case)).exists():
                _write(case, HERE / f"{case}.part")
                (HERE / f"{case}.part").rename(HERE / str(case))
                print(case)
    if not (HERE / OF_TRANSFORMERS_4).exists():
        _write_by_transformers_4(HERE / f"{OF_TRANSFORMERS_4}.part")
        (HERE / f"{OF_TRANSFORMERS_4}.part").rename(HERE / OF_TRANSFORMERS_4)
        print(OF_TRANSFORMERS_4)


def _write(case, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with case.in_shards():
        version = SavedVersion.of(case.model, folder / "version", case.save_options)
    serializer = serializer_named(version.manifest.saved.serializer)
    expected = prediction_as_json(answer_of(serializer, case.model, case.inputs))
    _write_answer(folder, {"inputs": as_json(case.inputs), "expected": expected})


def _write_by_transformers_4(folder: Path) -> None:
    """By the environment that `make tf-environment` makes."""
    shutil.rmtree(folder, ignore_errors=True)
    python = HERE.parents[2] / ".venv-tf/bin/python"
    script = HERE.parents[1] / "serializers" / "golden_tf.py"
    done = subprocess.run(
        [python, script, "save", folder / "version"], stdout=subprocess.PIPE, check=True
    )
    _write_answer(folder, json.loads(done.stdout.splitlines()[-1]))


def _write_answer(folder: Path, answer: dict[str, object]) -> None:
    for name, content in answer.items():
        text = json.dumps(content, indent=1)
        (folder / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
