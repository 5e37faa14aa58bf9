"""How a blob lies where the store has a key: a head, then frames. Pure but for chance.

::

    head    the blob's own data key, sealed with the store's key of blobs and bound to the file's name
    frames  the content under that data key (``store.frames``), which know the same name

So a file that is cut off, exchanged or put in another's place is noticed, and any stretch is read without the rest.
"""

from __future__ import annotations

import os

from littoral.store.frames import KEY_BYTES, Opener, Sealer, sealed_span
from littoral.store.sealed import SEALED, Seal

HEAD = SEALED + KEY_BYTES  # bytes


class BlobSeal:
    def __init__(self, key: bytes) -> None:
        self._seal = Seal(key)

    def sealer(self, file: str) -> tuple[bytes, Sealer]:
        """The head of a new blob in the file of that name (hex digits), and what seals its content."""
        return self.sealer_of(os.urandom(KEY_BYTES), file)

    def sealer_of(self, key: bytes, file: str) -> tuple[bytes, Sealer]:
        """The same with a data key that is no other blob's."""
        return self._seal.seal(key, file), Sealer(key, file)

    def opener(self, head: bytes, file: str, size: int, offset: int, length: int) -> Opener:
        """For the stretch of a content of ``size``, from the bytes that ``span`` names. Raises CannotOpen."""
        return Opener(self.key(head, file), file, size, offset, length)

    def key(self, head: bytes, file: str) -> bytes:
        """The blob's own. Raises CannotOpen."""
        return self._seal.open(head, file)


def span(size: int, offset: int, length: int) -> tuple[int, int]:
    """Where in the file the frames of a stretch lie: offset and length."""
    begin, sealed = sealed_span(size, offset, length)
    return HEAD + begin, sealed
