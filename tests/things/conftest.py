"""A store, a registry and callers, all real; the clock is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from littoral.aws.service import Call, Principal
from littoral.net.message import BytesBody, Headers, Peer, Request
from littoral.net.pki import Authority
from littoral.store.embedded import EmbeddedStore

REGION, ACCOUNT = "us-east-1", "000000000000"
ARN = f"arn:aws:iot:{REGION}:{ACCOUNT}:"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.load_or_create(tmp_path_factory.mktemp("ca"), "test devices")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store")
    yield opened
    await opened.close()


@pytest.fixture
def call(clock: Clock) -> Callable[..., Call]:
    """A call as the gateway makes it; by an access key unless a certificate id is given."""

    def make(operation: str = "", certificate: str | None = None, service: str = "iot") -> Call:
        principal = Principal("key", "AKIA") if certificate is None else Principal("certificate", certificate)
        request = Request("POST", "/", Headers(), BytesBody(), Peer("127.0.0.1", 50_000))
        return Call(service, operation, REGION, ACCOUNT, principal, "request-1", request, clock())

    return make
