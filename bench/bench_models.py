"""Models: what we add to ONNX Runtime, and other engines on the same nets, in the same run, taking turns.

In process: the median of one call at batch 1, without what ONNX Runtime takes within it and what watching it takes.
Served: rows a second at batch 32 through a region's HTTP (the Open Inference Protocol, binary; two connections), as a
part of what a bare session with as many threads does; a model's first answer, from nothing in memory to the answer.
Engines (``engines.py``): rows a second at batch 1 and 32 on one thread, and as a part of what a bare session does.

    .venv/bin/python bench/bench_models.py --mxnet-python /tmp/mx/bin/python --torch-python …/python
"""

from __future__ import annotations

import argparse
import base64
import configparser
import http.client
import json
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from engines import compare
from littoral.models import load
from littoral.tour.places import PlaceProcess
from nets import Net, bare, convolutional, dense
from servers import children

BATCH, CALLS, CONNECTIONS = 32, 1000, 2
PORTS = ("--port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0")


def seconds(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def added(net: Net, folder: Path) -> None:
    """One call at batch 1, in process."""
    file = folder / f"{net.name}.onnx"
    file.write_bytes(net.onnx())
    model = load(file, threads=1)
    inside = Timed(model._session._session)  # the same call is both, so nothing else differs
    model._session._run = inside.run
    row = np.random.default_rng(1).standard_normal((1, *net.width)).astype(np.float32)
    ways: tuple[Callable[[], Any], ...] = (lambda: model(row), lambda: inside.run(["y"], {"x": row}))
    more: list[float] = []
    watching: list[float] = []  # the watch alone
    for _ in range(CALLS):  # in turns, so that each finds the caches as a run has left them
        for way, found in zip(ways, (more, watching), strict=True):
            found.append(seconds(way) - inside.took[-1])
    base, added, own = (statistics.median(each) * 1e6 for each in (inside.took, more, watching))
    print(f"in process, {net.name:12} bare {base:8.1f} µs   added {added - own:6.1f} µs   (watching it {own:.1f} µs)")


class Timed:
    """ONNX Runtime's session within ours."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.took: list[float] = []

    def run(self, names: list[str], feeds: dict[str, Any]) -> Any:
        began = time.perf_counter()
        answer = self._session.run(names, feeds)
        self.took.append(time.perf_counter() - began)
        return answer


def opening(data: bytes, folder: Path) -> None:
    """From a file to the first answer, in process."""
    file = folder / "opening.onnx"
    file.write_bytes(data)
    row = np.zeros((1, 1280), np.float32)
    theirs = statistics.median(seconds(lambda: bare(file.read_bytes(), 0).run(["y"], {"x": row})) for _ in range(5))
    ours = statistics.median(seconds(lambda: load(file)(row)) for _ in range(5))
    print(f"file to first answer, {len(data) / 1e6:.0f} MB: bare {theirs * 1e3:.0f} ms, load() {ours * 1e3:.0f} ms")


class Place:
    """A region, and what it is asked."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.process = PlaceProcess("bench", "region", folder, [*PORTS, "--models-threads", str(threads)], {})
        self.process.wait_ready()
        keys = configparser.ConfigParser()
        keys.read(folder / "credentials")
        self.key, self.secret = keys["default"]["aws_access_key_id"], keys["default"]["aws_secret_access_key"]
        self._token = base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.process.urls["api"],
            region_name="us-east-1",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
        )

    def registered(self, name: str, data: bytes) -> None:
        s3, sagemaker = self.client("s3"), self.client("sagemaker")
        s3.create_bucket(Bucket="models")
        s3.put_object(Bucket="models", Key=name, Body=data)
        sagemaker.create_model_package_group(ModelPackageGroupName=name)
        sagemaker.create_model_package(
            ModelPackageGroupName=name,
            ModelApprovalStatus="Approved",
            InferenceSpecification={"Containers": [{"Image": "onnx", "ModelDataUrl": f"s3://models/{name}"}]},
        )

    def asking(self, rows: np.ndarray[Any, Any]) -> tuple[dict[str, str], bytes]:
        """Headers and body."""
        described = {
            "name": "x",
            "datatype": "FP32",
            "shape": list(rows.shape),
            "parameters": {"binary_data_size": rows.nbytes},
        }
        head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
        headers = {"Authorization": f"Basic {self._token}", "Inference-Header-Content-Length": str(len(head))}
        return headers, head + rows.tobytes()

    def ask(self, connection: http.client.HTTPConnection, name: str, rows: np.ndarray[Any, Any]) -> bytes:
        headers, body = self.asking(rows)
        connection.request("POST", f"/v2/models/{name}/infer", body, headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body

    def request(self, name: str, rows: np.ndarray[Any, Any]) -> bytes:
        """The same as it goes over the wire."""
        headers, body = self.asking(rows)
        fields = {"Host": "127.0.0.1", **headers, "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST /v2/models/{name}/infer HTTP/1.1\r\n{lines}\r\n".encode() + body

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.process.port("api"))


def through(place: Place, name: str, rows: np.ndarray[Any, Any], until: float) -> int:
    """Batches answered by then, over several connections. In life a client has a machine of its own, so here it does as
    little as it can: the request is made once, and of an answer the length is looked at."""
    counts = [0] * CONNECTIONS
    request = place.request(name, rows)

    def client(number: int) -> None:
        with socket.create_connection(("127.0.0.1", place.process.port("api"))) as connection:
            buffer = bytearray(1 << 20)
            while time.perf_counter() < until:
                connection.sendall(request)
                read_answer(connection, buffer)
                counts[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CONNECTIONS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sum(counts)


def read_answer(connection: socket.socket, buffer: bytearray) -> None:
    view, at, end = memoryview(buffer), 0, 0
    while not end or at < end:
        count = connection.recv_into(view[at:])
        if not count:
            raise ConnectionError("the place hung up")
        at += count
        if not end and (head := buffer.find(b"\r\n\r\n", 0, at)) >= 0:
            assert buffer.startswith(b"HTTP/1.1 200"), bytes(buffer[:head])
            length = re.search(rb"\r\ncontent-length: (\d+)", buffer[:head])
            assert length is not None
            end = head + 4 + int(length[1])


def rate(act: Callable[[float], int], lasting: float) -> float:
    began = time.perf_counter()
    count = act(began + lasting)
    return count * BATCH / (time.perf_counter() - began)


def computing(place: Place) -> float:
    """Seconds that the first threads of its models' processes were on a processor: what is missing to all the time was
    waited; where nothing is, bare ONNX Runtime would be no faster beside the same work of the other processor."""
    return sum(
        int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9
        for pid in children(place.process.pid)
        if b"littoral.models.runtime.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def served(place: Place, net: Net, threads: int, lasting: float, rounds: int) -> None:
    """Rows a second at batch 32."""
    name, session = net.name, bare(net.onnx(), threads)
    rows = np.random.default_rng(2).standard_normal((BATCH, *net.width)).astype(np.float32)
    place.registered(name, net.onnx())
    place.ask(place.connection(), name, rows)

    def alone(until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            session.run(["y"], {"x": rows})
            count += 1
        return count

    ratios, theirs, ours, shares = [], [], [], []
    for _ in range(rounds):
        theirs.append(rate(alone, lasting))
        before, began = computing(place), time.perf_counter()
        ours.append(rate(lambda until: through(place, name, rows, until), lasting))
        shares.append((computing(place) - before) / (time.perf_counter() - began))
        ratios.append(ours[-1] / theirs[-1])
    print(
        f"served, {name:12} {threads} threads, batch {BATCH}: bare {statistics.median(theirs):9.0f} rows/s   "
        f"ours {statistics.median(ours):9.0f} rows/s   ratio {statistics.median(ratios):.3f}"
        f"   (computing {statistics.median(shares):.1%} of the time)"
    )


def first_answer(place: Place, data: bytes) -> None:
    """Over HTTP, of models that are not in memory; a process waits for the next one, as always."""
    body = json.dumps(np.zeros((1, 1280)).tolist()).encode()
    runtime = place.client("sagemaker-runtime")
    times = []
    for number in range(5):
        name = f"first-{number}"
        s3, sagemaker = place.client("s3"), place.client("sagemaker")
        other = data + bytes([0x32, 1, 65 + number])  # another doc_string: another model
        s3.put_object(Bucket="models", Key=name, Body=other)
        sagemaker.create_model(
            ModelName=name, PrimaryContainer={"Image": "onnx", "ModelDataUrl": f"s3://models/{name}"}
        )
        variant = {"VariantName": "all", "ModelName": name}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        time.sleep(5)  # until the spare process is there
        began = time.perf_counter()
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating":
            time.sleep(0.002)
        runtime.invoke_endpoint(EndpointName=name, Body=body)
        times.append(time.perf_counter() - began)
    print(f"create_endpoint to first answer, {len(data) / 1e6:.0f} MB: {statistics.median(times) * 1e3:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch-python", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--mxnet-python", default="/tmp/mx/bin/python", help="a Python that has MXNet 1.9.1")
    parser.add_argument("--only", choices=("process", "engines", "served"), help="one part of it")
    options = parser.parse_args()
    large, conv = dense("dense", 1280, 2560), convolutional("conv")
    pythons = {"torch": options.torch_python, "mxnet": options.mxnet_python}
    with tempfile.TemporaryDirectory(prefix="littoral-bench-") as name:
        folder = Path(name)
        if options.only in {None, "process"}:
            for net in (dense("small", 16, 16), large, conv):
                added(net, folder)
            opening(large.onnx(), folder)
        if options.only in {None, "engines"}:
            for net in (large, conv):
                compare(net, folder, pythons, options.seconds / 3, options.rounds)
        if options.only in {None, "served"}:
            over_http(folder, options, large, conv)


def over_http(folder: Path, options: argparse.Namespace, large: Net, conv: Net) -> None:
    place = Place(folder / "place", options.threads)
    try:
        for net in (large, conv):
            served(place, net, options.threads, options.seconds, options.rounds)
        first_answer(place, large.onnx())
    finally:
        place.process.stop()


if __name__ == "__main__":
    main()
