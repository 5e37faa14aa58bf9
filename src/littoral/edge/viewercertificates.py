"""Certificates that distributions name by ARN, and how they and their keys get to a location.

    GET /_littoral/edge/certificate?arn=…&fingerprint=…   → certificate and key, sealed

The feed names the fingerprint of each certificate that a distribution uses; a location fetches what it has not, keeps
it sealed with a key of its own, and shows it. On the way a pair is sealed with a key made of the secret that the
location signs with, which never travels: the region's API may be asked without TLS.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from littoral.edge.control import Control
from littoral.net.tls import Pair
from littoral.store.contract import Records
from littoral.store.documents import Document
from littoral.store.sealed import CannotOpen, Seal

log = logging.getLogger("littoral.edge")

CERTIFICATES: Final = "viewerCertificates"  # in the feed: ARN → fingerprint
PATH: Final = "/_littoral/edge/certificate"
PREFIX: Final = "certificate/"  # of a location's records


class Held(Protocol):
    """The region's certificates, as the feed needs them."""

    def fingerprint(self, arn: str) -> str | None: ...

    async def pair(self, arn: str, fingerprint: str) -> Pair | None:
        """None where that certificate holds no more."""


class Asking(Protocol):
    """``location.Region``."""

    async def ask(self, method: str, path: str) -> bytes: ...


def used(control: Control, held: Held) -> dict[str, dict[str, str]]:
    """What locations must have."""
    found: dict[str, str] = {}
    for document in control.all("distribution").values():
        arn = arn_of(document["config"])
        fingerprint = held.fingerprint(arn) if arn else None
        if fingerprint is not None:
            found[arn] = fingerprint
    return {CERTIFICATES: found}


def arn_of(config: Document) -> str:
    """The certificate that a distribution names; "" for CloudFront's own."""
    return str((config.get("ViewerCertificate") or {}).get("ACMCertificateArn") or "")


def sealed_for(secret: str) -> Seal:
    """For who signs with that secret, and for nobody who only reads along."""
    return Seal(HKDF(SHA256(), 32, None, b"littoral viewer certificates").derive(secret.encode()))


def sealed(pair: Pair, arn: str, fingerprint: str, secret: str) -> bytes:
    """What the feed answers."""
    content = json.dumps([part.decode() for part in pair]).encode()
    return sealed_for(secret).seal(content, _key(arn, fingerprint))


def _unpacked(content: bytes) -> Pair:
    chain, key = json.loads(content)
    return chain.encode(), key.encode()


class ViewerCertificates:
    """A location's. ``of`` gives the same pair until another one holds."""

    def __init__(self, region: Asking, secret: str, records: Records, seal: Seal) -> None:
        self._region = region
        self._way = sealed_for(secret)
        self._records = records
        self._seal = seal
        self._shown: dict[str, tuple[str, Pair]] = {}

    def of(self, arn: str) -> Pair | None:
        found = self._shown.get(arn)
        return found[1] if found is not None else None

    async def load(self, state: Mapping[str, Any]) -> None:
        """Show what the state names; fetch what is not here. Raises what asking the region raises, CannotOpen."""
        shown = {}
        for arn, fingerprint in state.get(CERTIFICATES, {}).items():
            known = self._shown.get(arn)
            same = known is not None and known[0] == fingerprint
            shown[arn] = known if known is not None and same else (fingerprint, await self._get(arn, fingerprint))
        self._shown = shown

    async def restore(self, state: Mapping[str, Any]) -> bool:
        """At a start, by what is on the disk; False where that is not all."""
        for arn, fingerprint in state.get(CERTIFICATES, {}).items():
            pair = await self._kept(arn, fingerprint)
            if pair is not None:
                self._shown[arn] = fingerprint, pair
        return len(self._shown) == len(state.get(CERTIFICATES, {}))

    async def clean(self, state: Mapping[str, Any]) -> None:
        """Forget what the state does not name."""
        named = {_key(arn, fingerprint) for arn, fingerprint in state.get(CERTIFICATES, {}).items()}
        for key in [each async for each in self._all()]:
            if key not in named:
                await self._records.delete(key)

    async def _all(self) -> AsyncIterator[str]:
        after = ""
        while page := await self._records.scan(PREFIX, after=after):
            for record in page:
                yield record.key
            after = page[-1].key

    async def _get(self, arn: str, fingerprint: str) -> Pair:
        kept = await self._kept(arn, fingerprint)
        if kept is not None:
            return kept
        path = f"{PATH}?arn={quote(arn, safe='')}&fingerprint={fingerprint}"
        content = self._way.open(await self._region.ask("GET", path), _key(arn, fingerprint))
        await self._records.put(_key(arn, fingerprint), self._seal.seal(content, _key(arn, fingerprint)))
        return _unpacked(content)

    async def _kept(self, arn: str, fingerprint: str) -> Pair | None:
        record = await self._records.get(_key(arn, fingerprint))
        if record is None:
            return None
        try:
            return _unpacked(self._seal.open(record.value, _key(arn, fingerprint)))
        except CannotOpen as problem:
            log.warning("a viewer certificate is fetched again: %s", problem)
            return None


def _key(arn: str, fingerprint: str) -> str:
    return f"{PREFIX}{arn}/{fingerprint}"
