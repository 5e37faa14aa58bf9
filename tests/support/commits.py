"""A commit that falls where a test wants it: between two reads, or after its fsync and before anybody is told of it.

with held(database) as commit:      # works are performed, their commit waits
    ...                             # begin a write elsewhere
    commit.until_due()
    commit.after("FROM uploads")    # the first read with that in its statement lets the commit happen, then returns
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from littoral.store.embedded.database import Database

PATIENCE = 20.0  # seconds


class HeldCommit:
    """Of the one batch that comes first; all later ones are let through."""

    def __init__(self, database: Database, patch: pytest.MonkeyPatch) -> None:
        self._commit, self._read = database._commit, database.read
        self._due, self._go, self._done = threading.Event(), threading.Event(), threading.Event()
        self._mark: str | None = None
        patch.setattr(database, "_commit", self._held)
        patch.setattr(database, "read", self._reading)

    def until_due(self) -> None:
        assert self._due.wait(PATIENCE)

    def after(self, mark: str) -> None:
        self._mark = mark

    def happen(self) -> None:
        """On the disk when this returns; whoever waits for it has not been told where this is called on the loop."""
        self._go.set()
        assert self._done.wait(PATIENCE)

    @property
    def due(self) -> bool:
        return self._due.is_set()

    @property
    def happened(self) -> bool:
        return self._done.is_set()

    def _held(self, batch: list[Any], heavy: bool) -> None:
        self._due.set()
        assert self._go.wait(PATIENCE)
        self._commit(batch, heavy)
        self._done.set()

    def _reading(self, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        rows = self._read(sql, params)
        if self._mark is not None and self._mark in sql:
            self._mark = None
            self.happen()
        return rows


@contextmanager
def held(database: Database) -> Iterator[HeldCommit]:
    with pytest.MonkeyPatch.context() as patch:
        commit = HeldCommit(database, patch)
        try:
            yield commit
        finally:
            commit._go.set()
