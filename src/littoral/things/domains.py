"""Domain configurations: names of one's own at the device port, told apart by SNI.

Owns: which names there are, whether they are served, and which authorizer is asked there. Refuses to know TLS: who
listens asks ``serves`` and ``refuses`` at each handshake.
https://docs.aws.amazon.com/iot/latest/developerguide/iot-custom-endpoints-configurable.html
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from littoral.store.contract import Records
from littoral.store.documents import Documents
from littoral.things.table import Table

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Domain:
    """Times are Unix seconds."""

    name: str  # of the configuration
    host: str  # in lower case
    created: float
    changed: float  # its status
    enabled: bool = True
    authorizer: str | None = None
    override: bool = False  # a client may name another authorizer

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> Domain:
        return cls(**found)


class Domains:
    def __init__(self, records: Records) -> None:
        self.table: Table[Domain] = Table(Documents(records, "domain/"), Domain.to_json, Domain.from_json)
        self.table.on_change(lambda before, after: self._index())
        self._hosts: dict[str, Domain] = {}

    async def open(self) -> None:
        await self.table.load()
        self._index()

    def _index(self) -> None:
        self._hosts = {domain.host: domain for domain in self.table.values()}

    def of(self, host: str | None) -> Domain | None:
        return self._hosts.get((host or "").lower())

    def serves(self, host: str) -> bool:
        found = self.of(host)
        return found is not None and found.enabled

    def refuses(self, host: str) -> bool:
        """A name that is no domain's is not refused: clients call the place by many."""
        found = self.of(host)
        return found is not None and not found.enabled

    def authorizer(self, host: str | None, named: str | None) -> str | None:
        """Who decides for a client that came by that name and itself ``named`` an authorizer, or none; None leaves it
        to the account's default."""
        found = self.of(host)
        if found is None or found.authorizer is None:
            return named
        return named if named is not None and found.override else found.authorizer
