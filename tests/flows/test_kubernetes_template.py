"""The work-pool template for Kubernetes is Prefect's own, with the storage mounted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import prefect
import pytest
from prefect.utilities.templating import apply_values

ROOT = Path(__file__).parents[2]
BUNDLED = "server/api/collections_data/views/aggregate-worker-metadata.json"


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    text = (ROOT / "docs" / "kubernetes-work-pool.json").read_text()
    read: dict[str, Any] = json.loads(text)
    return read


@pytest.fixture(scope="module")
def base() -> dict[str, Any]:
    """What Prefect makes a work pool of the type kubernetes from."""
    file = Path(prefect.__file__).parent / BUNDLED
    worker = json.loads(file.read_text())["prefect-kubernetes"]["kubernetes"]
    read: dict[str, Any] = worker["default_base_job_configuration"]
    return read


def _missing(expected: Any, found: Any, where: str = "") -> list[str]:
    """Places where ``found`` lacks or changes something of ``expected``."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            place
            for key, value in expected.items()
            for place in _missing(value, found.get(key), f"{where}/{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list):
        return [
            place
            for number, value in enumerate(expected)
            for place in _missing(value, found[number], f"{where}/{number}")
        ]
    return [] if expected == found else [where]


def test_nothing_that_the_worker_reads_is_missing_or_changed(
    template: dict[str, Any], base: dict[str, Any]
) -> None:
    assert _missing(base["job_configuration"], template["job_configuration"]) == []
    assert _missing(base["variables"], template["variables"]) == []


def test_each_placeholder_is_a_variable_and_each_default_is_of_its_kind(
    template: dict[str, Any],
) -> None:
    variables = template["variables"]
    named = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert named == set(variables["properties"])
    for facts in variables["properties"].values():
        if "default" in facts:
            jsonschema.validate(facts["default"], facts)


def test_the_storage_is_mounted_where_its_block_says(template: dict[str, Any]) -> None:
    properties = template["variables"]["properties"]
    values = {name: facts.get("default") for name, facts in properties.items()}
    image = {"image": "registry.example/team/flows:1"}
    assert set(image) == set(template["variables"]["required"])
    job = apply_values(template["job_configuration"], {**values, **image})
    pod = job["job_manifest"]["spec"]["template"]["spec"]
    [container], [volume] = pod["containers"], pod["volumes"]
    assert container["image"] == image["image"]
    [mount] = container["volumeMounts"]
    assert mount == {"name": volume["name"], "mountPath": "/brixa"}
    assert volume["persistentVolumeClaim"] == {"claimName": "brixa-storage"}
