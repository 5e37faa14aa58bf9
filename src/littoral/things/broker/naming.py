"""Messages that their sender has named: a PUBLISH of MQTT 5 whose one property is the user property ``PROPERTY``.

That is what a core's spool sends, thousands a second, so the hot path knows them by their bytes. Where there is
anything beside it, ``decode`` reads it. Which came before is ``Recording``'s to know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol

from littoral.protocols.mqtt.properties import properties_block

if TYPE_CHECKING:
    from littoral.things.broker.batch import Batch

PROPERTY: Final = "littoral-message-id"
_BEGIN: Final = properties_block({"user_properties": [(PROPERTY, "")]})[:-2]  # up to the length of its value
_VALUE: Final = len(_BEGIN) + 2


class Recording(Protocol):
    """Tells a message that was sent twice."""

    def fresh(self, identity: str) -> bool:
        """It neither came before nor is under way."""

    def record(self, batch: Batch, identities: Iterable[str]) -> Batch:
        """They are under way in a read of that batch. What they wait for is to be put into the batch returned: after
        that they are recorded, and only then is the first batch done."""


def identity_in(data: bytes, at: int, stop: int) -> str:
    """The id, where the properties, whose length is at ``at``, are nothing else; else "". ``stop``: of the packet."""
    size = data[at] - _VALUE
    value = at + 1 + _VALUE
    if not (0 < size < 0x80 - _VALUE and value + size <= stop and data.startswith(_BEGIN, at + 1)):
        return ""
    found = data[value : value + size]
    if data[value - 2] or data[value - 1] != size or not found.isascii() or b"\0" in found:
        return ""
    return found.decode("ascii")
