"""One execution's part of a log stream, once it prints or its tail is asked for: splits what is printed into lines,
bounds it, keeps the tail."""

from __future__ import annotations

from typing import Protocol

TAIL = 4096  # bytes, Lambda's X-Amz-Log-Result
LARGEST_LINE = 262_144  # bytes of one event of what functions print


class Lines(Protocol):
    """Where lines go; ``Logs`` is one."""

    def append(self, group: str, stream: str, *lines: bytes) -> None: ...


class InvocationLog:
    """The execution says what the platform adds."""

    __slots__ = ("_dropped", "_group", "_keeps", "_left", "_logs", "_partial", "_recent", "_stream")

    def __init__(self, logs: Lines, group: str, stream: str, limit: int, *, keeps: bool = True) -> None:
        """``keeps``: the tail may be asked for."""
        self._logs = logs
        self._group = group
        self._stream = stream
        self._left = limit
        self._keeps = keeps
        self._dropped = 0
        self._partial = b""
        self._recent: list[bytes] = []

    def printed(self, data: bytes) -> None:
        """Raw bytes from the instance. Beyond the limit they are counted, not kept."""
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
        if self.unfinished:
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
    def unfinished(self) -> bool:
        """A line has begun and not ended, or something was dropped that is still to be told."""
        return bool(self._partial or self._dropped)

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
        if self._keeps:
            recent = self._recent
            recent += lines
            if len(recent) > TAIL:  # no more lines than bytes are in a tail
                del recent[:-TAIL]
        self._logs.append(self._group, self._stream, *lines)
