"""The model card that is sealed with a version: README.md as people and hubs read it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from brixa_flows.registry.facts.metadata import Lineage
from brixa_flows.registry.facts.records import Core, Mutable
from brixa_flows.serializers.base import SavedModel

__all__ = ["CARD_NAME", "model_card"]

CARD_NAME = "README.md"
_LONGEST_SCHEMA = 20_000


def model_card(
    core: Core, mutable: Mutable, lineage: Lineage, saved: SavedModel
) -> str:
    """Render the card of a version as it is at save.

    Args:
        core: What never changes.
        mutable: What is known at save.
        lineage: What went in.
        saved: How the model is stored.

    Returns:
        Markdown with YAML front matter.
    """
    sections = [
        _front_matter(core, mutable),
        f"# {core.name} {core.version}",
        _text(mutable.description) or "No description was given.",
        _table("Facts", ("", ""), _facts(core, mutable, saved)),
        _table("Metrics at save", ("metric", "value"), _numbers(mutable.metrics)),
        _table("Hyperparameters", ("name", "value"), core.hyperparameters.items()),
        _schema("Input", core.input_schema),
        _schema("Output", core.output_schema),
        _table("Data", ("role", "name", "rows", "digest", "where"), _data(lineage)),
        _table("Made from", ("model", "relation", "where"), _parents(lineage)),
        _table("Origin", ("", ""), _origin(lineage)),
        _table("Environment", ("package", "version"), lineage.environment.items()),
        _usage(core),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(core: Core, mutable: Mutable) -> str:
    facts: dict[str, Any] = {
        "model_name": core.name,
        "model_version": str(core.version),
        "library_name": core.framework,
        "pipeline_tag": core.model_type,
        "license": core.license,
        "tags": sorted(mutable.tags) or None,
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in facts.items() if value]
    return "\n".join(["---", *lines, "---"])


def _facts(core: Core, mutable: Mutable, saved: SavedModel) -> list[tuple[str, Any]]:
    tags = ", ".join(
        f"{key}={value}" if value else key for key, value in _tags(mutable)
    )
    risk = "holds data only" if saved.tier == "data" else "can run code when loaded"
    facts = [
        ("Type", core.model_type),
        ("Framework", core.framework),
        ("Format", f"{saved.format} ({risk})"),
        ("Files", _files(core)),
        ("Owner", mutable.owner),
        ("License", core.license),
        ("Tags", tags),
        ("Registered", f"{core.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("Needs", ", ".join(f"{k} {v}" for k, v in core.dependencies.items())),
    ]
    if core.schema_bump is not None:
        bump = core.schema_bump
        asked = f"asks for {bump.needed} after {bump.against}, made {bump.made}"
        facts.append(("Schema change", f"{asked}: {'; '.join(bump.changes)}"))
    return [(label, value) for label, value in facts if value]


def _files(core: Core) -> str:
    if core.external_uri is None:
        return ""
    return f"kept by reference only, at {core.external_uri}"


def _tags(mutable: Mutable) -> list[tuple[str, str]]:
    return sorted(mutable.tags.items())


def _numbers(metrics: dict[str, float]) -> list[tuple[str, str]]:
    return [(name, f"{value:.6g}") for name, value in sorted(metrics.items())]


def _data(lineage: Lineage) -> list[tuple[Any, ...]]:
    return [
        (each.role, each.name, each.rows or "", each.digest, each.uri)
        for each in lineage.datasets
    ]


def _parents(lineage: Lineage) -> list[tuple[str, str, str]]:
    return [
        (f"{each.name} {each.version}", each.relation, each.uri)
        for each in lineage.parents
    ]


def _origin(lineage: Lineage) -> list[tuple[str, str]]:
    code = lineage.code
    changed = " with uncommitted changes" if code is not None and code.dirty else ""
    facts = [
        ("Code", f"{code.repository} {code.commit}{changed}".strip() if code else None),
        ("MLflow training run", lineage.run_id),
        ("Prefect flow run", lineage.flow_run_id),
    ]
    facts += [("Features", f"{f.store}/{f.view} {f.version}") for f in lineage.features]
    return [(label, value) for label, value in facts if value]


def _schema(title: str, schema: dict[str, Any] | None) -> str:
    if schema is None:
        return ""
    text = json.dumps(schema, indent=2)
    if len(text) > _LONGEST_SCHEMA:
        return f"## {title}\n\nToo long for this page; it is in config.json."
    return f"## {title}\n\n```json\n{text}\n```"


def _usage(core: Core) -> str:
    return (
        "## Use\n\n```python\nfrom brixa.ai.registry import ModelRegistry\n\n"
        "registry = ModelRegistry.from_settings()\n"
        f'model = registry.load_model("{core.name}", "{core.version}")\n```'
    )


def _table(
    title: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> str:
    lines = ["| " + " | ".join(_text(cell) for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    head = "| " + " | ".join(columns) + " |"
    rule = "|" + " --- |" * len(columns)
    return "\n".join([f"## {title}", "", head, rule, *lines])


def _text(value: Any) -> str:
    """One line of text that can't break out of a table cell or start markup."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.split())
    for mark in ("\\", "|", "<", ">", "`", "["):
        text = text.replace(mark, "\\" + mark)
    return text
