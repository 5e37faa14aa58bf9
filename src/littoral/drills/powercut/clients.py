"""Who is told what before a cut: beds whose records are acknowledged (MQTT, QoS 1), and a caller of a function whose
events are accepted. What is said while the power is being cut is not held to: the file system may answer an fsync under
way with success in that moment, and in a real cut nobody is left to hear it."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from littoral.drills.beds import Bed

PAUSE = 0.01  # seconds between two events
AWAY = (BotoCoreError, ClientError, HTTPClientError, OSError)


class Records:
    """What beds were told, in the order in which they were told it."""

    def __init__(self, beds: Sequence[Bed]) -> None:
        self._beds = beds
        self._doubtful: dict[str, set[int]] = {bed.bed: set() for bed in beds}
        self._sure = dict.fromkeys(self._doubtful, 0)

    @property
    def count(self) -> int:
        return sum(len(bed.accepted) for bed in self._beds)

    def cutting(self) -> None:
        for bed in self._beds:
            self._sure[bed.bed] = len(bed.accepted)

    def dead(self) -> None:
        """Nobody answers any more."""
        for bed in self._beds:
            said = bed.accepted[self._sure[bed.bed] :], bed.to_go_again  # a refusal is in doubt as well
            self._doubtful[bed.bed].update(*said)

    def accepted(self) -> dict[str, list[int]]:
        return {bed.bed: [each for each in bed.accepted if each not in self._doubtful[bed.bed]] for bed in self._beds}

    def again(self) -> dict[str, set[int]]:
        """Sent twice perhaps, or in doubt."""
        return {bed.bed: bed.again | self._doubtful[bed.bed] for bed in self._beds}


class Caller(threading.Thread):
    """Invokes asynchronously, one event after another, until ``stop``; waits where nobody answers."""

    def __init__(self, client: Any, function: str, doubtful: threading.Event) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._function = function
        self._doubtful = doubtful
        self._halt = threading.Event()
        self.accepted: list[int] = []

    def run(self) -> None:
        number = 0
        while not self._halt.wait(PAUSE):
            number += 1
            with suppress(*AWAY):
                payload = json.dumps({"n": number})
                self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=payload)
                if not self._doubtful.is_set():
                    self.accepted.append(number)

    def stop(self) -> None:
        self._halt.set()
        self.join()
