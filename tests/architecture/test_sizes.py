"""Modules and functions stay short enough to be read at one go."""

from __future__ import annotations

import ast

_LONGEST_MODULE_LINES = 400
_LONGEST_FUNCTION_LINES = 60
_BAD_ROOMS = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc"}


def test_no_module_is_over_400_lines(modules):
    lengths = {module.path: len(module.text.splitlines()) for module in modules}
    too_long = {
        path: lines for path, lines in lengths.items() if lines > _LONGEST_MODULE_LINES
    }
    assert too_long == {}


def test_no_function_is_over_60_lines(modules):
    too_long = {}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > _LONGEST_FUNCTION_LINES:
                    too_long[f"{module.path}:{node.lineno} {node.name}"] = lines
    assert too_long == {}


def test_half_of_the_functions_have_at_most_ten_lines(modules):
    lengths = sorted(
        (node.end_lineno or 0) - node.body[0].lineno + 1 - _docstring_lines(node)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert lengths[len(lengths) // 2] <= 10
    assert lengths[len(lengths) * 9 // 10] <= 30


def _docstring_lines(node):
    first = node.body[0]
    documented = ast.get_docstring(node) is not None
    return first.end_lineno - first.lineno + 1 if documented else 0


def test_no_room_or_module_has_a_name_that_says_nothing(modules):
    named = {
        module.path
        for module in modules
        if _BAD_ROOMS & set(module.name.replace("_", ".").split("."))
    }
    assert named == set()
