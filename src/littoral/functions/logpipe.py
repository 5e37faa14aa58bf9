"""The pipe that an instance prints into, and whose words come out of it.

Owns: the reading end. Nothing is read until somebody hears it: an instance may print before the place has come to
listen, and may have ended by then. Words are those of the event under way (``turn``), or, behind a mark, of one that
waited in the mailbox and has begun before the place knew: the runtime writes its id in front of its first word.
"""

from __future__ import annotations

import asyncio
import os
from array import array
from fcntl import ioctl
from termios import FIONREAD
from typing import Protocol

from littoral.functions.frames import ID
from littoral.functions.line import Line
from littoral.functions.turn import Turn

PIPE_READ = 65536
MARK = b"\x00\x1alittoral "  # then the id of the event whose words follow


class Hearer(Protocol):
    def printed(self, data: bytes) -> None: ...


class LogPipe:
    def __init__(self, line: Line[Turn]) -> None:
        """``line``: the events of the instance."""
        self.turn: Hearer | None = None  # that began last; before the first, who listens to the init phase
        self._unheard = b""  # what had to be read before that
        self._speaker: Turn | None = None  # whose words are read next, where a mark has said it
        self._line = line
        self._fd = -1
        self._there = array("i", (0,))  # bytes, when it was asked last
        self._cut = b""  # maybe the beginning of a mark

    def is_at(self, fd: int) -> None:
        """The reading end, from now on the pipe's own."""
        self._fd = fd
        os.set_blocking(fd, False)

    def hear(self, hearer: Hearer) -> None:
        """The first: of what was printed before, too."""
        self.turn = hearer
        unheard, self._unheard = self._unheard, b""
        self.say(unheard)
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        """One read a turn: an instance that prints without end must not starve the others."""
        try:
            data = os.read(self._fd, PIPE_READ)
        except BlockingIOError:
            return
        if data:
            self._heard(data)
        else:  # it closed its output
            self.close()

    def drain(self) -> None:
        """Take what is in the pipe, at most the little more than a pipe holds. Most events print nothing, and to ask
        how much there is costs half of a read that finds nothing and raises."""
        for _ in range(32):
            if self._fd < 0:
                return
            if not self._cut:
                ioctl(self._fd, FIONREAD, self._there)
                if not self._there[0]:
                    return
            try:
                data = os.read(self._fd, PIPE_READ)
            except BlockingIOError:
                if self._cut:
                    self._heard(b"")
                return
            if not data:
                self.close()
                return
            self._heard(data)
            if len(data) < PIPE_READ:
                return

    def _heard(self, data: bytes) -> None:
        full = len(data) == PIPE_READ
        if self._cut:
            data, self._cut = self._cut + data, b""
        if full and (at := data.rfind(MARK[:1], -len(MARK) - ID)) >= 0:
            data, self._cut = data[:at], data[at:]
        while (at := data.find(MARK)) >= 0 and len(data) >= at + len(MARK) + ID:
            end = at + len(MARK) + ID
            speaker = self._line.find(data[at + len(MARK) : end].decode("latin-1"))
            self.say(data[:at])
            if speaker is not None:
                self._speaker = speaker
            data = data[end:]
        self.say(data)

    def say(self, data: bytes) -> None:
        """Words of the one who speaks."""
        speaker: Hearer | None = self._speaker
        if speaker is not None and speaker not in self._line:
            speaker = self._speaker = None
        hearer = speaker or self.turn
        if hearer is None:
            self._unheard += data
        elif data:
            hearer.printed(data)

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
