"""What was repaired, as a value."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from brixa_flows.versioning import ModelVersion

__all__ = ["Action", "RecoveryAction"]

Action = Literal[
    "completed",
    "discarded",
    "quarantined",
    "set aside",
    "left as it is",
    "metadata written",
    "metadata followed",
    "rebuilt",
    "stages shown",
    "staging removed",
    "index rebuilt",
]


class RecoveryAction(BaseModel):
    """One thing that was repaired, or that a person should know of.

    Attributes:
        name: Name of the model, or the key of a file that belongs to none.
        version: Its version, if it is about one.
        action: What was done. ``set aside``: a record that can't be read. ``left as it
            is``: nothing can be done here; ``detail`` says what will help.
        detail: Why, in a sentence.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: ModelVersion | None = None
    action: Action
    detail: str = ""

    @property
    def repaired(self) -> bool:
        """Whether something was done; else it is told of each time."""
        return self.action not in ("set aside", "left as it is")

    def __str__(self) -> str:
        subject = f"{self.name} {self.version}" if self.version else self.name
        return f"{subject}: {self.action}" + (
            f" ({self.detail})" if self.detail else ""
        )
