"""A ``-symbol.json`` file: the graph. Pure.

``nodes`` stand in an order in which each uses only what stands before it, so that no circle can be. What a node is
told is text, as Python would write it (``(3, 3)``, ``True``, ``None``), and is read by the few forms that there are,
never run. Under which name it stands went over time from ``param`` (before 0.9) to ``attr`` and ``attrs``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from littoral.models.mxnet.refusal import CannotImport

Output = tuple[int, int]  # of which node, which of its outputs

_NUMBERS: Final = re.compile(r"[(\[]?\s*((-?\d+L?|None)\s*(,\s*(-?\d+L?|None)\s*)*,?)?\s*[)\]]?")


@dataclass(frozen=True)
class Attributes:
    """What a node is told. Every reader has what MXNet takes where nothing is said, and raises CannotImport."""

    texts: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        return self.texts.get(name, default)

    def flag(self, name: str, *, default: bool = False) -> bool:
        return self.text(name, str(default)).lower() in ("true", "1")

    def integer(self, name: str, default: int | None = None) -> int:
        return int(self._number(name, default))

    def real(self, name: str, default: float | None = None) -> float:
        return self._number(name, default)

    def shape(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        found = self.places(name)
        if None in found:
            raise CannotImport(f"{name} says {self.texts[name]!r}, where numbers should be")
        return tuple(n for n in found if n is not None) or default

    def places(self, name: str) -> tuple[int | None, ...]:
        """Numbers, some of which may be left open (``None``)."""
        text = self.text(name).strip()
        if not _NUMBERS.fullmatch(text):
            raise CannotImport(f"{name} says {text!r}, where numbers should be")
        words = re.findall(r"-?\d+|None", text)
        return () if text == "None" else tuple(None if word == "None" else int(word) for word in words)

    def is_open(self, name: str) -> bool:
        return self.text(name, "None") == "None"

    def _number(self, name: str, default: float | None) -> float:
        text = self.texts.get(name, default)
        try:
            return float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError) as problem:
            raise CannotImport(f"{name} says {text!r}, where a number should be") from problem


@dataclass(frozen=True)
class Node:
    """``op`` is ``null`` for what is given: an input or a parameter."""

    op: str
    name: str
    told: Attributes
    inputs: tuple[Output, ...]


@dataclass(frozen=True)
class Graph:
    nodes: tuple[Node, ...]
    heads: tuple[Output, ...]

    def needed(self, but: Mapping[str, tuple[int, ...]]) -> list[int]:
        """The nodes that lead to a head, in order. ``but``: by operator, inputs that training alone uses."""
        found = {node for node, _ in self.heads}
        for number in range(len(self.nodes) - 1, -1, -1):
            if number in found:
                node = self.nodes[number]
                left = but.get(node.op, ())
                found.update(at for place, (at, _) in enumerate(node.inputs) if place not in left)
        return sorted(found)


def read_symbol(data: bytes) -> Graph:
    """Raises CannotImport."""
    try:
        said = json.loads(data)
        nodes = tuple(_node(number, node) for number, node in enumerate(said["nodes"]))
        heads = tuple(_output(len(nodes), head) for head in said["heads"])
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as problem:
        if isinstance(problem, CannotImport):
            raise
        raise CannotImport("this is no symbol file of MXNet's: it is not JSON with nodes and heads") from problem
    return Graph(nodes, heads)


def _node(number: int, said: Mapping[str, Any]) -> Node:
    told: dict[str, str] = {}
    for where in ("param", "attr", "attrs"):
        told |= said.get(where) or {}
    texts = {str(name): str(value) for name, value in told.items()}
    return Node(
        str(said["op"]), str(said["name"]), Attributes(texts), tuple(_output(number, i) for i in said["inputs"])
    )


def _output(before: int, said: list[int]) -> Output:
    node, output = int(said[0]), int(said[1])
    if not 0 <= node < before or output < 0:
        raise CannotImport(f"the symbol file uses node {node}, which does not stand before")
    return node, output
