"""Between ACM and CloudFront: who uses a certificate, and what a distribution may name and locations fetch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from littoral.aws.identity import Identity
from littoral.aws.service import Principal
from littoral.certificates import CertificateStore
from littoral.edge.control import Control
from littoral.edge.viewercertificates import arn_of


class Distributions:
    """For ACM: those who show its certificates (``certificates.ports.Users``)."""

    def __init__(self, control: Control, account: str) -> None:
        self._control = control
        self._prefix = f"arn:aws:cloudfront::{account}:distribution/"

    def of(self, arn: str) -> list[str]:
        found = self._control.all("distribution").values()
        return [self._prefix + each["id"] for each in found if arn_of(each["config"]) == arn]

    def changing(self) -> asyncio.Lock:
        return self._control.changing

    async def renewed(self, save: Callable[[], Awaitable[None]]) -> None:
        async with self._control.changing:
            await self._control.carried(save)


class ShownCertificates:
    """For CloudFront, and for the feed of its locations."""

    def __init__(self, certificates: CertificateStore) -> None:
        self._certificates = certificates

    def missing(self, arn: str, aliases: Sequence[str]) -> list[str] | None:
        return self._certificates.missing(arn, aliases, time.time())

    def fingerprint(self, arn: str) -> str | None:
        return self._certificates.fingerprint(arn)

    async def pair(self, arn: str, fingerprint: str) -> tuple[bytes, bytes] | None:
        return await self._certificates.pair(arn, fingerprint)


def secret_of_root(identity: Identity, principal: Principal) -> str | None:
    """Of a principal that is the place's own account with a key of its own; None for a user, another account, a device
    with temporary credentials, and whoever is believed without a key."""
    if principal.kind != "key" or principal.limited or principal.arn != f"arn:aws:iam::{identity.account}:root":
        return None
    return identity.secret_of(principal.name)
