"""The mailbox of an instance: a pipe of letters, each read whole by the one that takes it.

Owns: the pipe. In packet mode (``O_DIRECT``, pipe(7)) a read takes one letter, and of two that read at the same time
each gets another: a letter that the place takes back is one that the instance does not get, and the other way round.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from littoral.functions.frames import LETTER


class Mailbox:
    def __init__(self) -> None:
        self.theirs, self._ours = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
        os.set_blocking(self._ours, False)
        self.room = fcntl.fcntl(self._ours, fcntl.F_GETPIPE_SZ) // LETTER  # letters; a user with many pipes gets less
        self._again = -1  # theirs, opened anew: not to wait is said of an opening, and the instance waits

    def put(self, letter: bytes) -> None:
        """Raises BlockingIOError when there are too many."""
        os.write(self._ours, letter)

    def take_back(self) -> bytes | None:
        """The oldest letter that was not taken."""
        if self._again < 0:
            self._again = os.open(f"/proc/self/fd/{self.theirs}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(BlockingIOError):
            return os.read(self._again, LETTER)
        return None

    def close(self) -> None:
        for fd in (self.theirs, self._ours, self._again):
            if fd >= 0:
                os.close(fd)
