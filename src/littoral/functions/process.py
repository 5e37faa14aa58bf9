"""The process of an instance: its number at the keeper, its ids, what it holds in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littoral.functions.held import descendants, only_child, resident, together
from littoral.functions.keeper import Keeper


class Process:
    def __init__(self) -> None:
        self.first: int | None = None  # its id, as the keeper said; in a cell, the init
        self._runs: int | None = None
        self._keeper: Keeper | None = None
        self._number = 0

    def is_of(self, keeper: Keeper, number: int) -> None:
        self._keeper, self._number = keeper, number

    @property
    def pid(self) -> int | None:
        """The process that runs the function: in a cell, the child of the one that the keeper knows."""
        if self._runs is None and self.first is not None and self._keeper is not None:
            self._runs = only_child(self.first) if self._keeper.cells else self.first
        return self._runs

    @property
    def started(self) -> bool:
        return self._keeper is not None

    def kill(self) -> None:
        """It and all it forked."""
        if self._keeper is not None:
            self._keeper.kill(self._number)

    def terminate(self) -> None:
        """SIGTERM to the process itself."""
        if self._keeper is not None:
            self._keeper.terminate(self._number)

    def specialise(self, cell: Mapping[str, Any]) -> None:
        """See ``Keeper.specialise``."""
        if self._keeper is None:
            raise ValueError("not started")
        self._keeper.specialise(self._number, cell)

    def over_memory(self, limit: int, *, closely: bool) -> bool:
        """Whether the process has more than ``limit`` bytes resident; looked at closely, all that it started as well.
        Elsewhere than on Linux the rlimit alone counts."""
        if resident(self.pid) > limit:
            return True
        if not closely or self.first is None:
            return False
        family = [self.first, *descendants(self.first)]
        return sum(map(resident, family)) > limit and together(family) > limit
