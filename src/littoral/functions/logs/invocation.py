"""One execution's part of a log stream: splits what is printed into lines, bounds it, keeps the tail."""

from __future__ import annotations

from typing import Protocol

TAIL = 4096  # bytes, Lambda's X-Amz-Log-Result
LARGEST_LINE = 262_144  # bytes of one event of what functions print


class Lines(Protocol):
    """Where lines go; ``Logs`` is one."""

    def append(self, group: str, stream: str, *lines: bytes) -> None: ...


class InvocationLog:
    """Made for each execution; the runner says what the platform adds."""

    __slots__ = ("_dropped", "_group", "_left", "_logs", "_partial", "_recent", "_stream", "spoke")

    def __init__(self, logs: Lines, group: str, stream: str, limit: int) -> None:
        self._logs = logs
        self._group = group
        self._stream = stream
        self._left = limit
        self._dropped = 0
        self._partial = b""
        self._recent: list[bytes] = []
        self.spoke = False  # the function printed something

    def printed(self, data: bytes) -> None:
        """Raw bytes from the instance. Beyond the limit they are counted, not kept."""
        self.spoke = True
        if len(data) > self._left:
            self._dropped += len(data) - self._left
            data = data[: self._left]
        self._left -= len(data)
        *lines, rest = (self._partial + data).split(b"\n")
        self._keep(lines)
        self._partial = rest
        if len(rest) > LARGEST_LINE:
            self._keep([rest])
            self._partial = b""

    def lines(self, *texts: str) -> None:
        """Lines of the platform: never dropped."""
        if self._partial or self._dropped:
            self.finish_line()
        self._keep([text.encode() for text in texts])

    def finish_line(self) -> None:
        if self._partial:
            self._keep([self._partial])
            self._partial = b""
        if self._dropped:
            self._keep([b"[littoral] %d bytes of log beyond the limit were dropped" % self._dropped])
            self._dropped = 0

    @property
    def tail(self) -> bytes:
        """The last of it, each line with its end."""
        tail: list[bytes] = [b""]
        size = 0
        for line in reversed(self._recent):  # only what can be in the tail is joined
            tail.append(line[-TAIL:])
            size += len(line) + 1
            if size >= TAIL:
                break
        return b"\n".join(reversed(tail))[-TAIL:]

    def _keep(self, lines: list[bytes]) -> None:
        recent = self._recent
        recent += lines
        if len(recent) > TAIL:  # no more lines than bytes are in a tail
            del recent[:-TAIL]
        self._logs.append(self._group, self._stream, *lines)
