"""Hours without a link are no hours of log: the same trouble is told once."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from littoral.core.link import Backoff, Link, Upstream
from littoral.core.spool import Spool, SpoolLimits
from littoral.net.pki import Authority
from littoral.net.tls import client_context
from littoral.store.embedded import EmbeddedStore
from tests.core.world import until


async def test_a_path_that_stays_closed_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "littoral.core.link")
    ca = Authority.load_or_create(tmp_path / "ca", "above").certificate_pem
    tries = 0

    def chance() -> float:
        nonlocal tries
        tries += 1
        return 0.5

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port: int = closed.getsockname()[1]
    store = await EmbeddedStore.open(tmp_path / "store")
    spool = await Spool.open(store.streams, store.records("core"), "ward7", SpoolLimits())
    above = Upstream("127.0.0.1", port, client_context(ca=ca))
    link = Link(above, "ward7", spool, backoff=Backoff(first=0.01, cap=0.02), chance=chance)
    await link.start()
    told: list[bool] = []
    follower = link.followers.add(told.append)
    try:
        await until(lambda: tries >= 10)
    finally:
        follower.close()
        await link.close()
        await store.close()
    said = [record.getMessage() for record in caplog.records if record.name == "littoral.core.link"]
    assert said and len(said) == len(set(said)), said
    assert told == [False]
    assert link.stats.changed > 0
