"""Every test of sockets runs on both event loops: the standard one and uvloop, whose transports differ. What asks for
``contexts`` runs with TLS and without."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import pytest
import uvloop

from littoral.net.pki import Authority
from littoral.net.tls import server_context
from tests.net.wire import Contexts


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def issued() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and one of a client that asks for no certificate that it knows."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return server_context(Authority.create("Test").issue_server(["localhost"]).pair), trusting


@pytest.fixture(params=["plain", "tls"])
def contexts(request: pytest.FixtureRequest, issued: tuple[ssl.SSLContext, ssl.SSLContext]) -> Contexts:
    return issued if request.param == "tls" else (None, None)
