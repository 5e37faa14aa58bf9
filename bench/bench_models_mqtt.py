"""A model on a core, asked by message: what topic in and topic out add to ONNX Runtime alone, in the same run.

    .venv/bin/python bench/bench_models_mqtt.py

The core's broker and its ModelServer are in this process, the model is in its own, and the client is a third, which
asks over TCP and waits for each answer, in turn with a bare session in its own memory. A plain message, there and back
by the same broker, stands beside it. Goal: at most 1 ms added to the median at batch 1. It is asked twice, as in
``bench_edge_functions.py``: with one request at a time the processors sleep between its steps.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort

from littoral.core.modelserver.component import ModelServer
from littoral.models.serving.process import Limits
from littoral.net.listen import listen_stream
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Connect, Filter, Publish, Subscribe
from littoral.site.capabilities.core import CoreBroker
from littoral.site.coremodels import CoreModels
from littoral.things.access import OpenAccess
from littoral.things.broker import Broker
from nets import dense
from servers import awake

WIDTH, HIDDEN = 64, 64
ROUNDS, CALLS = 9, 200
MQTT = 4  # 3.1.1


def body() -> bytes:
    data = np.random.default_rng(7).standard_normal(WIDTH).astype(np.float32).round(3).tolist()
    return json.dumps({"inputs": [{"name": "x", "shape": [1, WIDTH], "datatype": "FP32", "data": data}]}).encode()


def told(port: int, model: str) -> None:
    """The client's part."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    rows = np.zeros((1, WIDTH), np.float32)
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(encode(Connect("bench", level=MQTT), MQTT))
        line.recv(4096)
        line.sendall(encode(Subscribe(1, [Filter("out"), Filter("echo")]), MQTT))
        line.recv(4096)
        asked, echoed = (encode(Publish(topic, body()), MQTT) for topic in ("in", "echo"))

        def sent(packet: bytes) -> None:
            line.sendall(packet)
            line.recv(1 << 16)

        ways: list[Callable[[], object]] = [
            lambda: session.run(None, {"x": rows}),
            lambda: sent(echoed),
            lambda: sent(asked),
        ]
        said("processors that sleep", ways)
        with awake():
            said("processors awake", ways)


def said(name: str, ways: list[Callable[[], object]]) -> None:
    found = [[_median(way) for _ in range(ROUNDS)] for way in _warm(ways)]
    bare, plain, asking = (statistics.median(each) for each in found)
    print(f"{name}: bare ONNX Runtime {bare:.3f} ms, a plain message there and back {plain:.3f} ms")
    print(f"  a model by message {asking:.3f} ms: adds {asking - bare:.3f} ms to the median (goal: 1)", flush=True)


def _warm(ways: list[Callable[[], object]]) -> list[Callable[[], object]]:
    for way in ways:
        _median(way)
    return ways


def _median(way: Callable[[], object]) -> float:
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        way()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


async def served(folder: Path) -> None:
    model = folder / "m.onnx"
    model.write_bytes(dense("net", WIDTH, HIDDEN).onnx())
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    broker = Broker(access=OpenAccess())
    await broker.start()
    server = ModelServer(folder, CoreBroker(broker), lambda: CoreModels(Limits(1 << 30, 1)))
    wanted = {"component": "c", "in": "in", "out": "out", "version": "1", "file": model.name, "sha256": digest}
    await server.play({"models": {"m": wanted}})
    listener = await listen_stream(broker.protocol_factory("open", OpenAccess()), "127.0.0.1", 0)
    try:
        client = await asyncio.create_subprocess_exec(sys.executable, __file__, str(listener.port), str(model))
        await client.wait()
    finally:
        await server.close()
        await listener.close(0.0)
        await broker.close()


def main() -> None:
    if len(sys.argv) > 1:
        told(int(sys.argv[1]), sys.argv[2])
        return
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(served(Path(name)))


if __name__ == "__main__":
    main()
