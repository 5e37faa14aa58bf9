"""Bytes that are not what was written: which, since when, and what whoever asks for them is told.

Every read looks (the store's checksums, an inline body's MD5, the frames of what is encrypted), and so does the scrub.
What was found is kept in the index, so that it is told of until it is whole again, or gone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from littoral.objects.errors import damaged

if TYPE_CHECKING:
    from littoral.objects.index import Index

log = logging.getLogger("littoral.objects")


class Damage:
    """Names are blobs' or, of what lies in the index, ``row-ID``."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._known = set(index.damaged())
        self._unwritten: set[str] = set()
        self._lock = threading.Lock()

    def check(self, blobs: Iterable[str]) -> None:
        """Raises InternalError for what is known to be damaged."""
        if self.knows(blobs):
            raise damaged()

    def knows(self, blobs: Iterable[str]) -> bool:
        """Whether one of them is."""
        return bool(self._known) and not self._known.isdisjoint(blobs)

    def found(self, name: str, why: object = "it is not what was written") -> None:
        """From now on who asks for it is refused before a byte is sent. It is written down by ``write``. From any
        thread."""
        if name not in self._known:
            log.error("the stored bytes %s are damaged: %s", name, why)
            with self._lock:
                self._known.add(name)
                self._unwritten.add(name)

    def is_whole(self, name: str) -> None:
        """Again, or gone."""
        if name in self._known:
            self._known.discard(name)
            self._unwritten.add(name)

    async def write(self, now: float) -> None:
        """What changed since the last time. Raises StorageFailed."""
        with self._lock:
            changed, self._unwritten = self._unwritten, set()
        if changed:
            await self._index.set_damaged(changed & self._known, changed - self._known, now)

    @property
    def known(self) -> frozenset[str]:
        return frozenset(self._known)
