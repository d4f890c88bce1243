"""Every command, setting, tag, event and error is on a page."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from brixa_flows import errors, events
from brixa_flows.cli.main import brixa
from brixa_flows.registry import ModelRegistry
from brixa_flows.settings import BrixaSettings
from brixa_flows.tasks.remedies import REMEDIES
from brixa_flows.tracking import tags

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pages() -> str:
    return "\n".join(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")))


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


_COMMANDS = dict(_commands(brixa, "brixa"))


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_each_command_is_on_a_page(command: str, pages: str) -> None:
    assert command in pages


@pytest.mark.parametrize("field", sorted(BrixaSettings.model_fields))
def test_each_setting_is_on_a_page(field: str, pages: str) -> None:
    variable = "LOG_LEVEL" if field == "log_level" else f"BRXA_{field.upper()}"
    assert f"`{variable}`" in pages


@pytest.mark.parametrize(
    "tag",
    sorted(
        value
        for value in vars(tags).values()
        if isinstance(value, str)
        and value.startswith("brixa.")
        and value != tags.PREFIX
    ),
)
def test_each_tag_is_on_a_page(tag: str, pages: str) -> None:
    assert f"`{tag}`" in pages


def _announced(kind: type[events.EventPayload]) -> Iterator[str]:
    """Names of all events, whatever their classes have in common."""
    if "event" in vars(kind):
        yield kind.event
    for each in kind.__subclasses__():
        yield from _announced(each)


@pytest.mark.parametrize("event", sorted(_announced(events.EventPayload)))
def test_each_event_is_on_a_page(event: str, pages: str) -> None:
    assert f"`{event}`" in pages


@pytest.mark.parametrize(
    "error", sorted(name for name in errors.__all__ if name != "BrixaError")
)
def test_each_error_is_on_a_page(error: str, pages: str) -> None:
    assert f"`{error}`" in pages


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_a_command_is_told_with_what_it_needs_and_every_option(command: str) -> None:
    text = (ROOT / "docs" / "reference.md").read_text()
    [row] = re.findall(rf"^\| `{command}[ `].*$", text, re.M)
    call, asked = row.split("`")[1], _COMMANDS[command].params
    for param in asked:
        if isinstance(param, click.Option) and param.name != "json_output":
            option = max(param.opts, key=len)
            assert re.search(rf"{option}\b", call if param.required else row), option
    given = re.sub(r"--\S+ \S+", "", call.removeprefix(command)).split()
    arguments = [each for each in asked if isinstance(each, click.Argument)]
    assert len(given) == len(arguments)
    for word, argument in zip(given, arguments, strict=True):
        assert word.startswith("[") != argument.required


@pytest.mark.parametrize(
    "name", sorted(name for name in dir(ModelRegistry) if not name.startswith("_"))
)
def test_each_public_name_of_the_registry_is_on_its_page(name: str) -> None:
    page = (ROOT / "docs" / "registry.md").read_text()
    assert re.search(rf"\b{name}\b", page)


def test_what_the_page_of_the_registry_shows_runs(
    tmp_path: Path, mlflow_template_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import LogisticRegression

    monkeypatch.chdir(tmp_path)
    meta = tmp_path / "model_storage" / "models" / "_meta"
    meta.mkdir(parents=True)
    shutil.copy(mlflow_template_db, meta / "mlflow.db")
    text = (ROOT / "docs" / "registry.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", text, re.S)
    inputs = [[0.0], [1.0]]
    names = {"model": LogisticRegression().fit(inputs, [0, 1]), "inputs": inputs}
    with warnings.catch_warnings(action="ignore"):
        exec(code, names)
    registry: Any = names["registry"]
    assert str(registry.resolve("delay")) == "1.0.0"
    found = registry.get_metadata("delay", "1.1.0")
    assert (found.owner, found.tags, found.metrics) == (
        "ada",
        {"region": "eu"},
        {"f1": 0.81},
    )


def test_what_the_page_of_judging_shows_runs(
    tmp_path: Path,
    mlflow_template_db: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    meta = tmp_path / "model_storage" / "models" / "_meta"
    meta.mkdir(parents=True)
    shutil.copy(mlflow_template_db, meta / "mlflow.db")
    text = (ROOT / "docs" / "judging.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", text, re.S)
    names: dict[str, Any] = {}
    with warnings.catch_warnings(action="ignore"):
        exec(code, names)
    result, board = names["result"], names["board"]
    assert [part.value for part in result.slices] == ["large", "small"]
    assert 0 <= result.metrics["missed"] < 0.3
    assert [str(each.version) for each in board.results] == [
        str(names["version"]),
        "1.0.0",
    ]
    assert names["page"].startswith("<!doctype html>")
    assert "## tumours" in capsys.readouterr().out


_SNIPPETS = [
    code
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
]
_OF_THE_READER = {"model", "inputs"}


@pytest.mark.parametrize("code", _SNIPPETS)
def test_each_name_in_a_snippet_is_imported_or_made_there(code: str) -> None:
    tree = ast.parse(code)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, each.name) for each in node.names)
        if isinstance(node, ast.Import | ast.ImportFrom):
            made |= {each.asname or each.name for each in node.names}
        elif isinstance(node, ast.FunctionDef):
            made.add(node.name)
    assert used - made - arguments - _OF_THE_READER <= vars(builtins).keys()


def test_what_a_failed_run_leads_to_is_what_the_docs_say() -> None:
    page = (ROOT / "docs" / "loop.md").read_text()
    shown = ROOT / "brixa_flows" / "tasks" / REMEDIES
    assert shown.read_text() == page[page.index("## When a run fails") :]
