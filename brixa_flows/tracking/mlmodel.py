"""Makes a version directory a valid MLflow model, without MLflow.

Afterwards ``mlflow.pyfunc.load_model("models:/NAME@production")`` predicts by our
loader, and MLflow's UI shows the signature. The format is MLflow's MLmodel file:
https://mlflow.org/docs/latest/ml/model/#mlmodel-specification
"""

from __future__ import annotations

import json
import platform
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from brixa_flows.tracking.signature import signature_of

__all__ = ["write_mlmodel"]

_LOADER = "brixa_flows.pyfunc"
_EXAMPLE_ROWS = 5
_EXAMPLE = "input_example.json"
_SERVING_EXAMPLE = "serving_input_example.json"
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # with libyaml, where built in

_installed_version = cache(metadata.version)


def write_mlmodel(
    directory: Path,
    *,
    name: str,
    version: str,
    framework: str,
    input_schema: Mapping[str, Any] | None,
    output_schema: Mapping[str, Any] | None,
    environment: Mapping[str, str],
    input_example: Any = None,
    signature: Mapping[str, Any] | None = None,
) -> None:
    """Write ``MLmodel``, ``requirements.txt`` and ``python_env.yaml``.

    Call it when the model's files are there and before the manifest is made, which
    lists these files too.

    Args:
        directory: The version directory.
        name: Name of the model.
        version: Its semantic version.
        framework: Canonical name of its framework.
        input_schema: JSON Schema of one input record.
        output_schema: JSON Schema of one output record.
        environment: Installed version by package, and ``python``.
        input_example: A DataFrame or array; its first five rows are kept as MLflow's
            input example. Any other form is left out.
        signature: MLflow's own, instead of what the schemas say.
    """
    python = environment.get("python", platform.python_version())
    content: dict[str, Any] = {
        "flavors": {
            "python_function": {
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": _LOADER,
                "predict_fn": "predict",
                "python_version": python,
            }
        },
        "metadata": {
            "brixa": {"name": name, "version": version, "framework": framework}
        },
        "mlflow_version": _installed_version("mlflow"),
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
    }
    signature = signature or signature_of(input_schema, output_schema)
    if signature is not None:
        content["signature"] = dict(signature)
    example = _write_example(directory, input_example)
    if example is not None:
        content["saved_input_example_info"] = example
    _write_yaml(directory / "MLmodel", content)
    _write_environment(directory, environment, python)


def _write_environment(
    directory: Path, environment: Mapping[str, str], python: str
) -> None:
    pinned = {
        package: text for package, text in environment.items() if package != "python"
    }
    for package in ("brixa-flows", "mlflow"):
        pinned.setdefault(package, _installed_version(package))
    lines = [
        f"{package}=={text.partition('+')[0]}"
        for package, text in sorted(pinned.items())
    ]
    (directory / "requirements.txt").write_text("\n".join(lines) + "\n", "utf-8")
    _write_yaml(
        directory / "python_env.yaml",
        {"python": python, "dependencies": ["-r requirements.txt"]},
    )


def _write_example(directory: Path, example: Any) -> dict[str, str] | None:
    """Keep the first rows in MLflow's form; returns what MLmodel says of them."""
    if hasattr(example, "iloc") and hasattr(example, "columns"):
        head = example.iloc[:_EXAMPLE_ROWS].reset_index(drop=True)
        split = json.loads(head.to_json(orient="split", date_format="iso"))
        kept = {"columns": split["columns"], "data": split["data"]}
        served: dict[str, Any] = {"dataframe_split": kept}
        info = {"type": "dataframe", "pandas_orient": "split"}
    elif hasattr(example, "__array__") and hasattr(example, "tolist"):
        rows = example[:_EXAMPLE_ROWS].tolist()
        kept = served = {"inputs": rows}
        info = {"type": "ndarray", "format": "tf-serving"}
    else:
        return None
    try:
        texts = (json.dumps(kept), json.dumps(served))
    except (TypeError, ValueError):
        return None
    (directory / _EXAMPLE).write_text(texts[0], "utf-8")
    (directory / _SERVING_EXAMPLE).write_text(texts[1], "utf-8")
    return {
        **info,
        "artifact_path": _EXAMPLE,
        "serving_input_path": _SERVING_EXAMPLE,
    }


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    text = yaml.dump(dict(content), Dumper=_DUMPER, sort_keys=True, allow_unicode=True)
    path.write_text(text, "utf-8")
