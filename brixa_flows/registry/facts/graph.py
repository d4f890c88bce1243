"""Lineage as a graph that answers both ways: what went in, and what is touched."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from brixa_flows.errors import UnknownNodeError

__all__ = ["LineageEdge", "LineageGraph", "LineageNode", "NodeKind"]

NodeKind = Literal[
    "dataset",
    "features",
    "code",
    "run",
    "flow_run",
    "model",
    "evaluation",
    "drift",
    "performance",
    "stage",
    "deployment",
]

_SHAPES = {
    "dataset": ("[(", ")]"),
    "model": ("[[", "]]"),
    "deployment": ("([", "])"),
    "stage": ("{{", "}}"),
}


@dataclass(frozen=True)
class LineageNode:
    """Something that a version came from or led to.

    Attributes:
        id: Unique in the graph: ``dataset:NAME@DIGEST``, ``model:NAME/VERSION``,
            ``code:COMMIT``, ``run:ID``, ``flow_run:ID``, ``deployment:NAME`` ...
        kind: What it is.
        label: How a person calls it.
        facts: What else is known, JSON.
    """

    id: str
    kind: NodeKind
    label: str
    facts: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class LineageEdge:
    """``source`` went into ``target``."""

    source: str
    target: str
    relation: str


class LineageGraph:
    """Nodes and edges around a version, or of a whole registry.

    Args:
        nodes: All nodes; a later one of the same id is left out.
        edges: Edges between them.
        root: Id of the node it was asked for, if any.
    """

    def __init__(
        self,
        nodes: Iterable[LineageNode],
        edges: Iterable[LineageEdge],
        root: str | None = None,
    ) -> None:
        self._nodes: dict[str, LineageNode] = {}
        for node in nodes:
            self._nodes.setdefault(node.id, node)
        self.edges: tuple[LineageEdge, ...] = tuple(dict.fromkeys(edges))
        self.root = root
        self._into: dict[str, list[str]] = {}
        self._out_of: dict[str, list[str]] = {}
        for edge in self.edges:
            self._into.setdefault(edge.target, []).append(edge.source)
            self._out_of.setdefault(edge.source, []).append(edge.target)

    @property
    def nodes(self) -> tuple[LineageNode, ...]:
        """All nodes."""
        return tuple(self._nodes.values())

    def node(self, id: str) -> LineageNode:
        """The node of an id.

        Raises:
            UnknownNodeError: If there is none.
        """
        if id not in self._nodes:
            raise UnknownNodeError(id, self._nodes)
        return self._nodes[id]

    def find(self, text: str) -> tuple[LineageNode, ...]:
        """Nodes whose id or label contains a text: a digest, commit or name."""
        return tuple(
            node for node in self.nodes if text in node.id or text in node.label
        )

    def upstream(self, id: str | None = None) -> tuple[LineageNode, ...]:
        """Everything that went into a node (the root if none is named), near first.

        Raises:
            UnknownNodeError: If there is no such node.
        """
        return self._reach(id, self._into)

    def downstream(self, id: str | None = None) -> tuple[LineageNode, ...]:
        """Everything that a node touches (the root if none is named), near first.

        Raises:
            UnknownNodeError: If there is no such node.
        """
        return self._reach(id, self._out_of)

    def around(self, id: str) -> LineageGraph:
        """The part of the graph that went into a node or is touched by it."""
        kept = {id, *(node.id for node in (*self.upstream(id), *self.downstream(id)))}
        return LineageGraph(
            (node for node in self.nodes if node.id in kept),
            (e for e in self.edges if e.source in kept and e.target in kept),
            root=id,
        )

    def _reach(
        self, id: str | None, neighbours: dict[str, list[str]]
    ) -> tuple[LineageNode, ...]:
        start = self.node(id or self.root or "").id
        seen = {start: None}
        waiting = deque([start])
        while waiting:
            for near in neighbours.get(waiting.popleft(), ()):
                if near not in seen:
                    seen[near] = None
                    waiting.append(near)
        return tuple(self._nodes[each] for each in list(seen)[1:])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: ``root``, ``nodes`` and ``edges``."""
        return {
            "root": self.root,
            "nodes": [
                {"id": n.id, "kind": n.kind, "label": n.label, "facts": n.facts}
                for n in self.nodes
            ],
            "edges": [
                {"source": e.source, "target": e.target, "relation": e.relation}
                for e in self.edges
            ],
        }

    def to_mermaid(self) -> str:
        """A mermaid flowchart, left to right."""
        names = {id: f"n{index}" for index, id in enumerate(self._nodes)}
        lines = ["flowchart LR"]
        for node in self.nodes:
            opening, closing = _SHAPES.get(node.kind, ("[", "]"))
            label = f"{node.kind.replace('_', ' ')}<br/>{_mermaid_text(node.label)}"
            lines.append(f'    {names[node.id]}{opening}"{label}"{closing}')
        for edge in self.edges:
            relation = _mermaid_text(edge.relation)
            source, target = names[edge.source], names[edge.target]
            lines.append(f"    {source} -->|{relation}| {target}")
        if self.root in names:
            lines.append(f"    style {names[self.root]} stroke-width:3px")
        return "\n".join(lines) + "\n"

    def to_text(self) -> str:
        """A few lines for a terminal: what went in, what is touched."""
        root = self.node(self.root or "")
        lines = [f"{root.kind} {root.label}"]
        for title, found in (
            ("went in", self.upstream()),
            ("is touched", self.downstream()),
        ):
            lines.append(f"{title}:")
            lines += [f"  {n.kind.replace('_', ' ')}: {n.label}" for n in found]
            if not found:
                lines.append("  nothing known")
        return "\n".join(lines)


def _mermaid_text(text: str) -> str:
    for mark, code in (("#", "#35;"), ('"', "#quot;"), ("|", "#124;"), ("<", "#lt;")):
        text = text.replace(mark, code)
    return " ".join(text.split())[:120]
