"""A place with functions and nothing else, and the few words that tests use to put code into it."""

from __future__ import annotations

import base64
import io
import json
import time
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littoral.aws.service import Call, Principal
from littoral.functions import Functions, FunctionSettings, LambdaApi, Sink
from littoral.net.message import BytesBody, Headers, Peer, Request
from littoral.store.embedded import EmbeddedStore

ROLE = "arn:aws:iam::000000000000:role/tester"
PYTHON = "python3.11"
NODE = "nodejs20.x"


def zip_of(**files: str | bytes) -> bytes:
    """``zip_of(app__py="…")``: two underscores stand for the dot."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return buffer.getvalue()


def call(host: str = "127.0.0.1:4566") -> Call:
    request = Request("POST", "/", Headers.of([("host", host)]), BytesBody(), Peer("127.0.0.1", 1))
    principal = Principal("key", "AKIDTEST")
    return Call("lambda", "", "us-east-1", "000000000000", principal, str(uuid.uuid4()), request, time.time())


@dataclass
class Answer:
    """What an invocation came to."""

    result: Any
    error: str | None
    log: list[str]
    version: str

    @property
    def report(self) -> str:
        return next(line for line in self.log if line.startswith("REPORT"))


@dataclass
class Place:
    functions: Functions
    store: EmbeddedStore

    @property
    def api(self) -> LambdaApi:
        return self.functions.api

    async def python(self, source: str, name: str = "f", **more: Any) -> dict[str, Any]:
        return await self.create(name, zip_of(app__py=source), PYTHON, "app.handler", **more)

    async def node(self, source: str, name: str = "f", file: str = "index__js", **more: Any) -> dict[str, Any]:
        return await self.create(name, zip_of(**{file: source}), NODE, "index.handler", **more)

    async def create(self, name: str, archive: bytes, runtime: str, handler: str, **more: Any) -> dict[str, Any]:
        given = {"runtime": runtime, "handler": handler, **more}
        return await self.api.create_function(call(), function_name=name, role=ROLE, code={"ZipFile": archive}, **given)

    async def invoke(self, event: Any = None, name: str = "f", **more: Any) -> Answer:
        payload = json.dumps(event).encode()
        output = await self.api.invoke(call(), function_name=name, payload=payload, log_type="Tail", **more)
        return Answer(
            json.loads(output["Payload"]),
            output.get("FunctionError"),
            base64.b64decode(output["LogResult"]).decode().splitlines(),
            output["ExecutedVersion"],
        )


@asynccontextmanager
async def place_in(
    folder: Path, *, sink: Sink | None = None, clock: Callable[[], float] = time.time, **settings: Any
) -> AsyncIterator[Place]:
    store = await EmbeddedStore.open(folder / "store")
    try:
        functions = await Functions.open(
            store, folder / "functions", settings=FunctionSettings(**settings), sink=sink, clock=clock
        )
        try:
            await functions.start()
            yield Place(functions, store)
        finally:
            await functions.close()
    finally:
        await store.close()
