"""Who is attached to whom: a durable set of pairs, found from either side."""

from __future__ import annotations

from littoral.store.documents import Documents
from littoral.things.table import Table


class Pairs:
    """Pairs of a certificate id and a name (of a thing, or of a policy). Neither side holds a slash."""

    def __init__(self, documents: Documents) -> None:
        self._table: Table[tuple[str, str]] = Table(
            documents,
            lambda pair: {"certificate": pair[0], "name": pair[1]},
            lambda row: (row["certificate"], row["name"]),
        )
        self._names: dict[str, set[str]] = {}
        self._certificates: dict[str, set[str]] = {}

    async def load(self) -> None:
        await self._table.load()
        for certificate, name in self._table.values():
            self._index(certificate, name)

    def _index(self, certificate: str, name: str) -> None:
        self._names.setdefault(certificate, set()).add(name)
        self._certificates.setdefault(name, set()).add(certificate)

    def __contains__(self, pair: tuple[str, str]) -> bool:
        return pair[1] in self._names.get(pair[0], ())

    def of_certificate(self, certificate: str) -> list[str]:
        return sorted(self._names.get(certificate, ()))

    def of_name(self, name: str) -> list[str]:
        return sorted(self._certificates.get(name, ()))

    def all(self) -> list[tuple[str, str]]:
        return list(self._table.values())

    async def add(self, certificate: str, name: str) -> None:
        await self._table.put(f"{certificate}/{name}", (certificate, name))
        self._index(certificate, name)

    async def remove(self, certificate: str, name: str) -> None:
        await self._table.delete(f"{certificate}/{name}")
        self._names.get(certificate, set()).discard(name)
        self._certificates.get(name, set()).discard(certificate)
