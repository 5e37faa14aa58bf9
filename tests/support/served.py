"""A gateway on a loopback listener in a thread of its own, for tests with real clients.

    with served({"s3": api}) as place:
        boto3.client("s3", **place.client_kwargs)

Instead of ready API objects a factory may be given: ``async def factory(store) -> dict`` runs in the server's loop
with an EmbeddedStore in a temporary folder; the dict maps services to API objects. What has a ``close`` under the
key ``"close"`` (a callable or a list of them) is awaited at the end; a dict under ``"routes"`` adds handlers.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.net.listen import listen_http
from littoral.store.embedded import EmbeddedStore

Services = dict[str, Any]
Factory = Callable[[EmbeddedStore], Awaitable[Services]]


@dataclass
class Served:
    """Where the gateway listens and who may call it."""

    url: str
    access_key: str
    secret_key: str
    loop: asyncio.AbstractEventLoop
    gateway: Gateway
    folder: Path

    @property
    def client_kwargs(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.url,
            "region_name": "us-east-1",
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
        }

    @property
    def env(self) -> dict[str, str]:
        """For the AWS CLI."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def run(self, coroutine: Coroutine[Any, Any, Any], timeout: float = 30.0) -> Any:
        """Run a coroutine in the server's loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)


@contextmanager
def served(
    services: Services | Factory,
    *,
    verify: bool = True,
    clock: Callable[[], float] | None = None,
    tls: ssl.SSLContext | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> Iterator[Served]:
    folder = Path(tempfile.mkdtemp(prefix="littoral-served-"))
    loop = loop_factory()
    thread = threading.Thread(target=loop.run_forever, name="served", daemon=True)
    thread.start()

    async def begin() -> tuple[Served, Callable[[], Awaitable[None]]]:
        store = await EmbeddedStore.open(folder / "store")
        made = dict(services) if isinstance(services, dict) else dict(await services(store))
        closers = made.pop("close", [])
        routes = made.pop("routes", {})
        identity = await Identity.open(store.records("identity"), verify=verify)
        options: dict[str, Any] = {"clock": clock} if clock else {}

        async def let_go() -> None:
            for close in closers if isinstance(closers, list) else [closers]:
                await close()
            await store.close()

        try:
            gateway = Gateway(made, identity, region="us-east-1", account="000000000000", routes=routes, **options)
            listener = await listen_http(gateway.handle, tls=tls)
        except BaseException:
            await let_go()
            raise

        async def end() -> None:
            await listener.close(0.5)
            await let_go()

        url = f"http{'s' if tls else ''}://127.0.0.1:{listener.port}"
        return Served(url, identity.root.id, identity.root.secret, loop, gateway, folder), end

    end: Callable[[], Awaitable[None]] | None = None
    try:
        place, end = asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
        yield place
    finally:
        if end is not None:
            asyncio.run_coroutine_threadsafe(end(), loop).result(30)  # type: ignore[arg-type]
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)
