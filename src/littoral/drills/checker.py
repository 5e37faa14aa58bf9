"""Who reads at the region what the beds recorded: a session that lasts, away until the end, so that it costs nothing
meanwhile and the region has to keep all of it on its disk."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from typing import Any

from littoral.drills.beds import WARD, client_of
from littoral.tour.monitors import Identity
from littoral.tour.places import PlaceError

QUIET = 2.0  # seconds in which nothing came: that was all
STILL_DUE = 10.0  # where some are missing


class Checker:
    def __init__(self, identity: Identity, port: int) -> None:
        self._identity = identity
        self._port = port

    def subscribe(self) -> None:
        """Raises PlaceError."""
        client = client_of(self._identity, "checker")
        subscribed = threading.Event()
        client.on_connect = lambda client, *_: client.subscribe(f"{WARD}/bed/+/record", 1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect("127.0.0.1", self._port, clean_start=True, properties=_lasting())
        client.loop_start()
        if not subscribed.wait(30):
            raise PlaceError("the region did not take the checker's subscription")
        client.disconnect()
        client.loop_stop()

    def arrived(self, beds: Iterable[str], due: int) -> dict[str, list[int]]:
        """Numbers of records by bed, in the order of their arrival; ``due`` are expected."""
        found: dict[str, list[int]] = {bed: [] for bed in beds}
        last = [time.monotonic()]

        def heard(_client: Any, _data: Any, message: Any) -> None:
            record = json.loads(message.payload)
            found[record["bed"]].append(record["n"])
            last[0] = time.monotonic()

        client = client_of(self._identity, "checker")
        client.on_message = heard
        client.connect("127.0.0.1", self._port, clean_start=False, properties=_lasting())
        client.loop_start()
        while time.monotonic() < last[0] + (STILL_DUE if sum(map(len, found.values())) < due else QUIET):
            time.sleep(0.1)
        client.disconnect()
        client.loop_stop()
        return found


def _lasting() -> Any:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    made = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    made.SessionExpiryInterval = 24 * 3600
    return made
