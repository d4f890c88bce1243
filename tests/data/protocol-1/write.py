"""Write the golden artifacts that are not there yet; see README.md beside this file."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "classes"), str(HERE.parents[1] / "serializers")]

from golden_files import as_json, prediction_as_json  # noqa: E402

from brixa_flows.serializers import serializer_named  # noqa: E402
from brixa_flows.testing.fresh_process import answer_of  # noqa: E402
from brixa_flows.testing.serializers import SavedVersion  # noqa: E402


def main() -> None:
    """Write one folder for each case that has none."""
    for module in ("table_cases", "extension_cases", "torch_cases", "keras_cases"):
        for case in importlib.import_module(module).CASES:
            if not (HERE / str(case)).exists():
                _write(case, HERE / f"{case}.part")
                (HERE / f"{case}.part").rename(HERE / str(case))
                print(case)


def _write(case, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    version = SavedVersion.of(case.model, folder / "version", case.save_options)
    serializer = serializer_named(version.manifest.saved.serializer)
    expected = prediction_as_json(answer_of(serializer, case.model, case.inputs))
    for name, content in (("inputs", as_json(case.inputs)), ("expected", expected)):
        text = json.dumps(content, indent=1)
        (folder / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
