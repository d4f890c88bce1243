"""The OpenAPI document of a deployment, and a page that shows it with no network."""

from __future__ import annotations

import html
import json
from typing import Any

from brixa_flows import __version__
from brixa_flows.deployment.served import ServedModel
from brixa_flows.deployment.tensors import DATATYPES

__all__ = ["docs_page", "openapi_document"]

_ERROR = {
    "description": "One sentence that names the field.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
_STYLE = (
    "body{font:16px/1.5 system-ui;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{background:#f4f4f4;padding:.1rem .3rem}pre{overflow:auto;padding:.6rem}"
    "b{display:inline-block;min-width:4rem}"
)


def openapi_document(served: ServedModel) -> dict[str, Any]:
    """OpenAPI 3.1 of everything a deployment answers to."""
    model = f"/v2/models/{served.name}"
    paths: dict[str, Any] = {
        "/v2/health/live": _get("Is the server alive?"),
        "/v2/health/ready": _get("Does it answer requests?"),
        "/v2": _get("Server metadata"),
        "/metrics": _get("Counters for Prometheus", "text/plain"),
        "/predict": _post("Predict JSON records", "Records", "Predictions"),
    }
    for prefix in (model, f"{model}/versions/{served.version}"):
        paths[prefix] = _get("Model metadata")
        paths[f"{prefix}/ready"] = _get("Is the model ready?")
        paths[f"{prefix}/infer"] = _post(
            "Predict tensors (Open Inference Protocol v2)", "Infer", "Inferred"
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{served.name} {served.version}",
            "version": __version__,
            "description": f"The deployment {served.deployment} of Brixa Flows.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(served)},
    }


def _get(summary: str, media: str = "application/json") -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "responses": {"200": {"description": "OK", "content": {media: {}}}},
        }
    }


def _post(summary: str, takes: str, gives: str) -> dict[str, Any]:
    def content(name: str) -> dict[str, Any]:
        schema = {"$ref": f"#/components/schemas/{name}"}
        return {"application/json": {"schema": schema}}

    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": content(takes)},
            "responses": {
                "200": {"description": "OK", "content": content(gives)},
                "400": _ERROR,
                "408": _ERROR,
                "413": _ERROR,
                "500": _ERROR,
                "503": _ERROR,
            },
        }
    }


def _schemas(served: ServedModel) -> dict[str, Any]:
    record = dict(served.signature.schema or {})
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "datatype": {"enum": list(DATATYPES)},
            "data": {"type": "array"},
        },
    }
    names = served.signature.names
    if names:
        tensor["properties"]["name"] = {"enum": list(names)}  # type: ignore[index]
    tensors = {"type": "array", "items": tensor, "minItems": 1}
    outputs = {"type": "array", "items": {"type": "object"}}
    return {
        "Error": {"type": "object", "properties": {"error": {"type": "string"}}},
        "Records": {
            "type": "object",
            "required": ["records"],
            "properties": {
                "records": {"type": "array", "minItems": 1, "items": record}
            },
        },
        "Predictions": {
            "type": "object",
            "properties": {
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
                "predictions": {"type": "array"},
                "probabilities": {"type": "array"},
                "classes": {"type": "array"},
            },
        },
        "Infer": {
            "type": "object",
            "required": ["inputs"],
            "properties": {"id": {"type": "string"}, "inputs": tensors},
        },
        "Inferred": {
            "type": "object",
            "properties": {
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
                "id": {"type": "string"},
                "outputs": outputs,
            },
        },
    }


def docs_page(document: dict[str, Any]) -> bytes:
    """A readable page of the document."""
    rows = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            rows.append(
                f"<p><b>{method.upper()}</b><code>{html.escape(path)}</code> "
                f"{html.escape(operation['summary'])}</p>"
            )
    schemas = document["components"]["schemas"]
    shown = "".join(
        f"<h3>{name}</h3><pre>{html.escape(json.dumps(schemas[name], indent=2))}</pre>"
        for name in ("Records", "Infer")
    )
    title = html.escape(document["info"]["title"])
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>{html.escape(document['info']['description'])} The same for machines: "
        f'<a href="/openapi.json">/openapi.json</a>.</p>{"".join(rows)}{shown}</html>'
    )
    return page.encode()
