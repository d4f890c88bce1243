"""What is imported when, and what modules say they offer."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys

import pytest

_HEAVY = {
    "evidently",
    "mlflow",
    "pandas",
    "prefect",
    "ray",
    "sklearn",
    "tensorflow",
    "torch",
}

_LISTING = (
    "import atexit, sys\n"
    "atexit.register(lambda: print('LOADED', *sorted("
    "{name.partition('.')[0] for name in sys.modules}), file=sys.stderr))\n"
)


def _loaded_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after ``code``."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _LISTING + code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COVERAGE_PROCESS_START": ""},
    )
    assert done.returncode == 0, done.stderr
    [line] = [row for row in done.stderr.splitlines() if row.startswith("LOADED ")]
    return set(line.split())


@pytest.mark.parametrize(
    "code",
    [
        "import brixa_flows",
        "import brixa.ai.registry, brixa.storage, brixa.storage.local",
        "import sys; sys.argv = ['brixa', '--help']\n"
        "from brixa_flows.cli import main\nmain()",
    ],
    ids=["package", "registry", "help"],
)
def test_starting_costs_no_heavy_import(code):
    loaded = _loaded_by(code)
    assert "brixa_flows" in loaded
    assert loaded & _HEAVY == set()


def test_the_listing_notices_a_heavy_import():
    assert "pandas" in _loaded_by("import pandas, brixa_flows") & _HEAVY


def _listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(one, ast.Name) and one.id == "__all__" for one in targets):
            return ast.literal_eval(node.value)
    return None


def _bound(tree: ast.Module) -> set[str]:
    """Names that a module binds at its top level, ``if`` and ``try`` included."""
    names: set[str] = set()
    for node in ast.walk(ast.Module(tree.body, [])):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(one.asname or one.name).partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def test_what_a_module_lists_is_sorted_and_there(modules):
    wrong = {}
    for module in modules:
        listed = _listed(module.tree)
        if listed is None:
            continue
        if listed != sorted(set(listed)) and listed != _constants_first(listed):
            wrong[module.path] = "not sorted"
        missing = set(listed) - _bound(module.tree)
        if missing:
            wrong[module.path] = f"lists {missing}, which it does not have"
    assert wrong == {}


def _constants_first(names: list[str]) -> list[str]:
    """CONSTANTS, then Classes, then functions: the order of linters."""

    def key(name: str) -> tuple[int, str]:
        kind = 0 if name.isupper() else 1 if name[:1].isupper() else 2
        return kind, name

    return sorted(set(names), key=key)


def test_every_module_with_public_names_lists_them(modules):
    silent = [
        module.path
        for module in modules
        if module.path.startswith(("brixa_flows/", "brixa/"))
        and not module.path.endswith("__main__.py")
        and _listed(module.tree) is None
        and any(
            isinstance(node, ast.ClassDef | ast.FunctionDef)
            and not node.name.startswith("_")
            for node in module.tree.body
        )
    ]
    assert silent == []


@pytest.mark.parametrize(
    "name", ["brixa.ai.registry", "brixa.storage", "brixa.storage.local"]
)
def test_the_public_names_are_really_there(name):
    module = importlib.import_module(name)
    assert module.__all__ == sorted(set(module.__all__))
    assert all(getattr(module, one) is not None for one in module.__all__)


def test_the_namespace_is_shared_and_holds_no_code(modules):
    paths = {module.path for module in modules}
    assert not paths & {"brixa/__init__.py", "brixa/ai/__init__.py"}
    for module in modules:
        if module.path.startswith("brixa/"):
            kinds = {type(node) for node in module.tree.body}
            assert kinds <= {ast.Expr, ast.ImportFrom, ast.Assign}, module.path


def test_no_import_is_tried_and_replaced_by_nothing(modules):
    tried = [
        f"{module.path}:{node.lineno}"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Try)
        and any(isinstance(one, ast.Import | ast.ImportFrom) for one in node.body)
        and any(_gives_up(handler) for handler in node.handlers)
    ]
    assert tried == []


def _gives_up(handler: ast.ExceptHandler) -> bool:
    """Whether a failed import ends in an assignment or in silence."""
    caught = ast.unparse(handler.type) if handler.type else ""
    importing = not caught or "ImportError" in caught or "ModuleNotFound" in caught
    return importing and all(
        isinstance(node, ast.Assign | ast.AnnAssign | ast.Pass) for node in handler.body
    )


def test_no_module_makes_up_its_attributes(modules):
    made_up = [
        module.path
        for module in modules
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
    ]
    assert made_up == []
