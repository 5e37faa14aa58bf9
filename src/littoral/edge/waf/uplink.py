"""The location's side of reports: what its firewall and its guard saw is told to the region every second, when there is
something."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from littoral.edge.ddos.watch import Watch
from littoral.edge.waf.guard import Firewall
from littoral.edge.waf.reports import PREFIX

log = logging.getLogger("littoral.edge")

PAUSE = 1.0  # seconds between reports
KEYS_EVERY = 10  # reports: those that name the keys which rate-based rules hold back

Ask = Callable[..., Awaitable[bytes]]  # Region.ask


class Uplink:
    """Open with ``start``. A report that cannot be told is dropped: samples and logs are no ledger."""

    def __init__(self, location: str, firewall: Firewall, ask: Ask, watch: Watch | None = None) -> None:
        self._location = location
        self._firewall = firewall
        self._watch = watch
        self._ask = ask
        self._task: asyncio.Task[None] | None = None
        self._turn = 0

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """What is left is told once more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._tell()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            await self._tell()

    async def _tell(self) -> None:
        with_keys = self._turn % KEYS_EVERY == 0
        self._turn += 1
        report: dict[str, Any] | None = self._firewall.report(with_keys=with_keys)
        attack = self._watch.report() if self._watch is not None else None
        if report is None and attack is None:
            return
        report = report or {"samples": [], "logs": [], "blocked": None}
        body = json.dumps({"location": self._location, **report, "attack": attack}).encode()
        try:
            await self._ask("POST", PREFIX + "report", body=body)
        except Exception as problem:  # noqa: BLE001 - whatever the region said, the location goes on
            log.warning(
                "edge location %s: the region did not take a report of the firewall: %s", self._location, problem
            )
