"""One viewer's connection, and the front's side of it: bytes go over as they are, at once or in turn.

Owns: both sockets, what is kept while it waits, pacing and ends. Reads nothing but the lengths that begin a
ClientHello: nothing is opened to the front before that is whole. The front hears who connects by the PROXY protocol.
When the front ends a connection whose viewer may still be sending, what comes is thrown away for a moment (*parting*):
a reset would take the answer, which is on its way, from the viewer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from littoral.net.connecting import AskingTransport
from littoral.net.delivery import on_its_way
from littoral.net.transport import SocketTransport
from littoral.net.turns import Turns
from littoral.protocols.clienthello import LONGEST, missing
from littoral.protocols.shield import client_of
from littoral.site.front.probe import connected_unix

if TYPE_CHECKING:
    from littoral.site.front.crossing import Crossing


class Viewer(asyncio.Protocol):
    """One connection: the viewer's side of it."""

    transport: SocketTransport

    def __init__(self, crossing: Crossing) -> None:
        self._crossing = crossing
        self.client = self.host = ""
        self.exempt = False
        self.kept: list[bytes] = []  # received and not handed on
        self.inside: Inside | None = None
        self._hello = False  # the ClientHello is whole
        self._waits = False  # for a turn
        self._ended = False  # nothing more comes
        self._parting = False  # the front has ended it
        self._since = crossing.crowd.now

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.host = transport.get_extra_info("peername")[0]
        self.client = client_of(self.host)
        self.exempt = self._crossing.knows(self.host)
        if not self._crossing.crowd.admit(self):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._parting:
            return
        self._since = self._crossing.crowd.now
        inside = self.inside
        if inside is not None and not self._waits and self._crossing.passes(self, len(data)):
            inside.transport.write(data)
            return
        self.kept.append(data)
        if inside is None:
            self._begin()
        else:
            self._wait()

    def _begin(self) -> None:
        """Until the ClientHello is whole, and while it waits: who goes away meanwhile costs the front nothing."""
        if self._waits:
            if sum(map(len, self.kept)) > LONGEST:
                self.transport.pause_reading()
        elif self._whole():
            if self._crossing.passes(self, len(self.kept[0])) and self._enter():
                self._hand_on(len(self.kept[0]))
            else:
                self._waits = True
                self._crossing.wait(self)

    def _wait(self) -> None:
        self.transport.pause_reading()
        if not self._waits:
            self._waits = True
            self._crossing.wait(self)

    def _whole(self) -> bool:
        """Whether the ClientHello is. What is none is the front's to refuse."""
        said = b"".join(self.kept)
        short = missing(said)
        if short and len(said) + short > LONGEST:
            self._crossing.crowd.refusals["large-hello"] += 1
            self.transport.abort()
            return False
        self.kept = [said]
        self._hello = not short
        return self._hello

    def _enter(self) -> bool:
        """Open a connection to the front and say whose it is; False when it takes no more at the moment."""
        found = connected_unix(self._crossing.inside)
        if found is None:
            return False
        inside = self.inside = Inside(self)
        AskingTransport(Turns.of_loop(), found, self._crossing.inside).begin(lambda: inside)
        inside.transport.write(
            proxied(self.transport.get_extra_info("peername"), self.transport.get_extra_info("sockname"))
        )
        return True

    def answered(self, data: bytes) -> None:
        self._since = self._crossing.crowd.now
        self._crossing.answered(self, len(data))
        self.transport.write(data)

    # the crossing's side

    def go(self) -> bool:
        """Its turn: as many bytes as it allows, the rest is left in ``kept``. False when there are none."""
        entry = self.inside is None
        if entry and not self._enter():
            return False
        taken = self._crossing.turnstile.takes(self.client, sum(map(len, self.kept)), entry=entry)
        if not taken:
            return False
        inside = self._hand_on(taken)
        if not self.kept:
            self._waits = False
            if self._ended:
                inside.transport.write_eof()
            elif inside.room:
                self.transport.resume_reading()
        return True

    def _hand_on(self, most: int) -> Inside:
        assert self.inside is not None
        whole = b"".join(self.kept)
        self.inside.transport.write(whole[:most])
        self.kept = [whole[most:]] if len(whole) > most else []
        return self.inside

    # pacing, and the end

    def pause_writing(self) -> None:
        if self.inside is not None:
            self.inside.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.inside is not None:
            self.inside.transport.resume_reading()

    def hold(self) -> None:
        if not self._parting:
            self.transport.pause_reading()

    def resume(self) -> None:
        if not self._waits:
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        self._ended = True
        if self.inside is None or self._parting:
            return False
        if not self.kept:
            self.inside.transport.write_eof()
        return True

    def part(self) -> None:
        """The front has said its last. Once that has gone out, what the viewer sends until it ends is nobody's."""
        if self._parting:
            return
        self._parting = True
        self._crossing.waits_no_more(self)
        self._waits = False
        self.kept.clear()
        if self._ended:
            self.transport.close()
            return
        self._since = self._crossing.crowd.now
        self.transport.write_eof()
        self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._crossing.waits_no_more(self)
        self.kept.clear()
        if self.inside is not None:
            self.inside.transport.close()
        self._crossing.crowd.forget(self)

    # the crowd's side

    @property
    def idle_since(self) -> float | None:
        return self._since

    @property
    def delivered(self) -> bool:
        return self._parting and not on_its_way(self.transport)

    def overdue(self, now: float) -> None:
        crowd = self._crossing.crowd
        if self._parting:
            if now - self._since > crowd.limits.linger:
                self.transport.close()
        elif (self._waits or not self._hello) and now - self._since > crowd.limits.header_timeout:
            crowd.refusals["no-turn" if self._waits else "slow-hello"] += 1
            self.cut()

    def shut_down(self) -> None:
        if self.inside is None:
            self.cut()

    def cut(self) -> None:
        self.transport.abort()

    def cut_off(self) -> None:
        """And the front hears of it at once."""
        self.cut()
        if self.inside is not None:
            self.inside.transport.abort()


class Inside(asyncio.Protocol):
    """The front's side of a connection."""

    transport: SocketTransport

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.room = True

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._viewer.answered(data)

    def pause_writing(self) -> None:
        self.room = False
        self._viewer.hold()

    def resume_writing(self) -> None:
        self.room = True
        self._viewer.resume()

    def eof_received(self) -> bool:
        self._viewer.part()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._viewer.part()


def proxied(viewer: tuple[Any, ...], here: tuple[Any, ...]) -> bytes:
    """The line of the PROXY protocol (version 1) that says who connects and where to."""
    kind = "TCP6" if ":" in viewer[0] else "TCP4"
    addresses = (str(each[0]).partition("%")[0] for each in (viewer, here))  # without the zone of a link
    return f"PROXY {kind} {' '.join(addresses)} {viewer[1]} {here[1]}\r\n".encode()
