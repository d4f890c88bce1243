"""What every command that judges rows can be told of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

__all__ = ["question_options"]

_TASKS = ("binary", "multiclass", "multilabel", "regression")


def question_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--target``, ``--task``, ``--positive`` and ``--threshold``, as one mapping.

    The command gets it as ``asked``: arguments of ``ModelEvaluator`` of the same names.
    """

    @click.option(
        "--target",
        "targets",
        multiple=True,
        help="Name of the label column; repeat it for several labels a row.",
    )
    @click.option(
        "--task", type=click.Choice(_TASKS), help="Said instead of told by the data."
    )
    @click.option("--positive", help="The positive label of a binary task.")
    @click.option(
        "--threshold", type=float, help="Probability from which on a row is positive."
    )
    @wraps(function)
    def command(
        *given: Any,
        targets: tuple[str, ...],
        task: str | None,
        positive: str | None,
        threshold: float | None,
        **others: Any,
    ) -> Any:
        several = list(targets) if len(targets) > 1 else None
        asked = {
            "target": several or (targets[0] if targets else None),
            "task": task,
            "positive": positive,
            "threshold": threshold,
        }
        return function(*given, asked=asked, **others)

    return command
