"""gRPC from end to end: grpcio's client, the front, the core, the front again, grpcio's server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from littoral.net.pki import Authority
from tests.edge.place import ALL_VIEWER, DISABLED, HOST

from .fronted import Fronted, fronted

EVERY = ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "DELETE"]
SERVICE = "tide.Gauge"


class Gauge(grpc.GenericRpcHandler):
    """Bytes in, bytes out; what a call is depends on its name."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, Any]] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        self.metadata.append(dict(details.invocation_metadata))
        return {
            f"/{SERVICE}/Read": grpc.unary_unary_rpc_method_handler(self._read),
            f"/{SERVICE}/Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            f"/{SERVICE}/Watch": grpc.unary_stream_rpc_method_handler(self._watch),
            f"/{SERVICE}/Echo": grpc.stream_stream_rpc_method_handler(self._echo),
        }.get(details.method)

    async def _read(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        context.set_trailing_metadata((("level", "7"),))
        return request.upper()

    async def _fail(self, _: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such gauge", (("hint", "ebb"),))
        raise AssertionError

    async def _watch(self, _: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        for number in range(1000):
            yield b"%d" % number * 100

    async def _echo(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request


@asynccontextmanager
async def gauges(credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[tuple[Gauge, int]]:
    gauge, server = Gauge(), grpc.aio.server()
    server.add_generic_rpc_handlers((gauge,))
    port = (
        server.add_insecure_port("127.0.0.1:0")
        if credentials is None
        else server.add_secure_port("127.0.0.1:0", credentials)
    )
    await server.start()
    try:
        yield gauge, port
    finally:
        await server.stop(0)


@asynccontextmanager
async def dialled(place: Fronted) -> AsyncIterator[grpc.aio.Channel]:
    trust = grpc.ssl_channel_credentials(place.ca.read_bytes())
    options = [("grpc.ssl_target_name_override", HOST), ("grpc.enable_http_proxy", 0)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{place.port}", trust, options) as channel:
        yield channel


def behaviour(**more: Any) -> dict[str, Any]:
    return {"CachePolicyId": DISABLED, "methods": EVERY, "GrpcConfig": {"Enabled": True}, **more}


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Fronted]:
    async with fronted(tmp_path) as made:
        yield made


async def test_a_call_its_trailers_and_its_metadata(place: Fronted) -> None:
    async with gauges() as (gauge, port), dialled(place) as channel:
        place.edge.origin_port = port
        await place.serve(place.edge.config(behaviour=behaviour(OriginRequestPolicyId=ALL_VIEWER)))
        call = channel.unary_unary(f"/{SERVICE}/Read")(b"ebb" * 100_000, metadata=(("who", "me"),), timeout=20)
        assert await call == b"EBB" * 100_000
        assert dict(await call.trailing_metadata())["level"] == "7"
        assert gauge.metadata[0]["who"] == "me"
        assert not [name for name in gauge.metadata[0] if name.startswith("littoral")]
        assert gauge.metadata[0]["x-forwarded-for"] == "127.0.0.1"


async def test_an_error_of_the_server_is_the_client_s(place: Fronted) -> None:
    async with gauges() as (_, port), dialled(place) as channel:
        place.edge.origin_port = port
        await place.serve(place.edge.config(behaviour=behaviour()))
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(f"/{SERVICE}/Fail")(b"", timeout=20)
        assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, "no such gauge")
        assert dict(failed.value.trailing_metadata())["hint"] == "ebb"
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await channel.unary_unary(f"/{SERVICE}/Nothing")(b"", timeout=20)
        assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_streams_of_both_sides_run_at_once(place: Fronted) -> None:
    async with gauges() as (_, port), dialled(place) as channel:
        place.edge.origin_port = port
        await place.serve(place.edge.config(behaviour=behaviour()))
        seen = [each async for each in channel.unary_stream(f"/{SERVICE}/Watch")(b"", timeout=30)]
        assert seen == [b"%d" % number * 100 for number in range(1000)]
        call = channel.stream_stream(f"/{SERVICE}/Echo")(timeout=30)
        for number in range(20):  # each waits for its echo: neither side has ended
            await call.write(b"%d" % number)
            assert await call.read() == b"%d" % number
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_an_origin_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority.load_or_create(tmp_path / "origin", "origins")
    issued = authority.issue_server(["localhost", "127.0.0.1"])
    (tmp_path / "origin.pem").write_bytes(authority.certificate_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "origin.pem"))  # what this machine trusts
    shown = grpc.ssl_server_credentials([(issued.private_key, issued.certificate)])
    async with fronted(tmp_path / "place") as place, gauges(shown) as (_, port), dialled(place) as channel:
        custom = {"HTTPPort": 80, "HTTPSPort": port, "OriginProtocolPolicy": "https-only"}
        origin = {"DomainName": "localhost", "CustomOriginConfig": custom}
        await place.serve(place.edge.config(behaviour=behaviour(), origin=origin))
        assert await channel.unary_unary(f"/{SERVICE}/Read")(b"ebb", timeout=20) == b"EBB"


async def test_without_the_setting_or_an_origin_a_call_fails_as_one(place: Fronted) -> None:
    async with dialled(place) as channel:
        place.edge.origin_port = 1
        await place.serve(place.edge.config(behaviour=behaviour()))
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(f"/{SERVICE}/Read")(b"", timeout=20)
        assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
        await place.serve(place.edge.config())  # no POST here
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(f"/{SERVICE}/Read")(b"", timeout=20)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    await asyncio.sleep(0)
