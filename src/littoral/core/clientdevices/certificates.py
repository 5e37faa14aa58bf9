"""Certificates of the core's broker, and of brokers that components have: for the names by which devices find the core,
and never over.

These names are the core's own, this machine's addresses as they are now, and what the place above tells devices
(GetConnectivityInfo), where an operator may have written a name or an address of a router. What was told is kept, for a
core may start with the cable out. A new name or address, or two thirds of the time that a certificate lasts, make
another one; connections that are open do not notice.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import time
from collections.abc import Callable, Collection
from typing import Final

from littoral.core.clientdevices.detector import Which, addresses
from littoral.core.clientdevices.groups import NAME
from littoral.core.clientdevices.ports import ClientPlace, ServerCertificate
from littoral.core.clientdevices.settings import Own, Settings
from littoral.core.clientdevices.telling import Telling
from littoral.core.link import Link
from littoral.core.recipe import BadComponent
from littoral.store.contract import StoreError
from littoral.store.documents import Documents

log = logging.getLogger(__name__)

EVERY: Final = 60.0  # seconds between looks at this machine's addresses
ASKS: Final = 10  # looks between two questions to the place above; it is asked at each connect, too
LONG: Final = 825 * 86400.0  # seconds that a certificate of the place lasts
_DNS: Final = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")

Told = Callable[[ServerCertificate], None]


class BrokerCertificates:
    def __init__(
        self,
        documents: Documents,
        place: ClientPlace,
        telling: Telling,
        link: Link,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._documents = documents
        self._place = place
        self._telling = telling
        self._link = link
        self._clock = clock
        self._settings: Settings | None = None
        self._above: frozenset[str] = frozenset()  # where the place above says that the broker is
        self._hosts: frozenset[str] = frozenset()  # of the certificate that is shown, beside the place's own names
        self._made = clock()
        self._listeners: list[Told] = []
        self._task: asyncio.Task[None] | None = None
        link.on_connected(self._ask)

    async def play(self, settings: Settings | None) -> None:
        """Raises BadComponent, StoreError."""
        before = self._settings or Settings()
        wanted = settings or Settings()
        if wanted.authority != before.authority:
            self._place.sign_by(None if wanted.authority is None else _read(wanted.authority))
        await self.close()
        found = await self._documents.get("hosts") if settings is not None else None
        self._above = frozenset(found["above"]) if found is not None else frozenset()
        self._settings = settings
        hosts = _here() | self._above if settings is not None else self._hosts
        if (wanted.authority, wanted.lasts) != (before.authority, before.lasts) or not hosts <= self._hosts:
            self._renew(hosts)
        if settings is not None:
            self._task = asyncio.create_task(self._follow(wanted.lasts))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def issue(self) -> ServerCertificate:
        return self._place.issue(self._hosts, self._lasts)

    @property
    def _lasts(self) -> float | None:
        return self._settings.lasts if self._settings is not None else None

    def listen(self, told: Told) -> Callable[[], None]:
        """Told of each certificate that takes the place of another; what is returned ends it."""
        self._listeners.append(told)
        return lambda: self._listeners.remove(told)

    async def _follow(self, lasts: float | None) -> None:
        looks = 0
        while True:
            if looks % ASKS == 0:
                await self._ask()
            self._look()
            looks += 1
            await asyncio.sleep(min(EVERY, (lasts or LONG) / 6))

    async def _ask(self) -> None:
        if self._settings is None or not self._link.stats.connected:
            return
        told = await self._telling.hosts()
        known = frozenset(each for each in told or () if _is_host(each))
        if told is None or known == self._above:
            return
        self._above = known
        try:
            await self._documents.put("hosts", {"above": sorted(known)})
        except StoreError as problem:
            log.warning("where devices find this core is not kept: %s", problem)
        self._look()

    def _look(self) -> None:
        """Whether it is time, or there is a new name."""
        if self._settings is None or not self._settings.rotates:
            return
        hosts = _here() | self._above
        old = self._clock() - self._made > (self._settings.lasts or LONG) * 2 / 3
        if old or not hosts <= self._hosts:
            self._renew(hosts)

    def _renew(self, hosts: Collection[str]) -> None:
        self._hosts, self._made = frozenset(hosts), self._clock()
        self._place.show(self._hosts, self._lasts)
        log.info("the broker shows a new certificate, also for %s", ", ".join(sorted(self._hosts)) or "nobody else")
        for told in list(self._listeners):
            told(self.issue())


def _here() -> frozenset[str]:
    every = Which(any=True, loopback=True, link_local=True)
    return frozenset(addresses(every, every))


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _DNS.fullmatch(text) is not None
    return True


def _read(own: Own) -> tuple[bytes, bytes]:
    """Raises BadComponent."""
    try:
        return own.certificate.read_bytes(), own.private_key.read_bytes()
    except OSError as problem:
        raise BadComponent(f"{NAME}: the certificateAuthority cannot be read: {problem}") from problem
