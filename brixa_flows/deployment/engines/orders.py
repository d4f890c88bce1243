"""What a supervisor tells a replica: which versions to hold, and how to share them.

The first line on the replica's stdin is a :class:`WorkerOrders`; each later line is a
:class:`ChangeOrder`, answered by one line of JSON on the report descriptor.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["CanaryOrder", "ChangeOrder", "Op", "ServedVersions", "VersionOrder"]

Op = Literal["prepare", "commit", "discard", "spread", "admit"]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class VersionOrder(_Order):
    """One version.

    Attributes:
        version: Exact version.
        digest: What the tracking backend recorded for it.
    """

    version: str
    digest: str | None

    @property
    def key(self) -> tuple[str, str | None]:
        """The same for the same bytes."""
        return self.version, self.digest


class CanaryOrder(VersionOrder):
    """A version beside the one that is served.

    Attributes:
        id: Of this trial; its counters are kept under it.
        share: Share of the requests that it answers, 0 to 1.
        shadow: It predicts a copy of what the other predicts and answers nobody.
    """

    id: str
    share: float
    shadow: bool


class ServedVersions(_Order):
    """What a replica holds.

    Attributes:
        main: What is served.
        canary: What is tried beside it.
    """

    main: VersionOrder
    canary: CanaryOrder | None = None

    @property
    def all(self) -> list[VersionOrder]:
        """Both, or the one."""
        return [self.main] if self.canary is None else [self.main, self.canary]


class ChangeOrder(_Order):
    """A change with no restart; versions are prepared by all, then changed by all.

    Attributes:
        id: Stands in the answer.
        op: ``prepare`` loads and warms up what is not held; ``commit`` sends requests
            there; ``discard`` forgets what was prepared; ``spread`` asks some clients to come
            back by a new connection, which others may take, and tells how many there
            are; ``admit`` lets in who has one of the keys, and so does ``commit``.
        versions: What is to be held.
        share: Of the connections that are spread, 0 to 1.
        key_digests: SHA-256 of the keys of those who may ask.
    """

    id: int
    op: Op
    versions: ServedVersions
    share: float = 0.0
    key_digests: tuple[str, ...] = ()
