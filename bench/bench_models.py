"""Models: what we add to ONNX Runtime, in the same run, taking turns with it.

In process: the median of one call at batch 1, without what ONNX Runtime takes within it. Served: rows a second at batch
32 through a region's HTTP (the Open Inference Protocol, binary; two connections), as a part of what a bare session with
as many threads does; a model's first answer, from nothing in memory to the answer.

    .venv/bin/python bench/bench_models.py
"""

from __future__ import annotations

import argparse
import base64
import configparser
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from littoral.models import load
from littoral.tour.places import PlaceProcess

BATCH, CALLS, CONNECTIONS = 32, 1000, 2
PORTS = ("--port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0")


def weights(name: str, *shape: int) -> Any:
    scale = np.float32(1.0 / np.sqrt(np.prod(shape[1:])))
    return numpy_helper.from_array(np.random.default_rng(7).standard_normal(shape).astype(np.float32) * scale, name)


def saved(nodes: list[Any], inside: list[Any], width: tuple[int, ...], answers: int) -> bytes:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", answers])],
        inside,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def dense(width: int, hidden: int) -> bytes:
    """Two layers of weights, width × hidden each."""
    nodes = [
        helper.make_node("Gemm", ["x", "a"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "b"], ["y"], transB=1),
    ]
    return saved(nodes, [weights("a", hidden, width), weights("b", width, hidden)], (width,), width)


def convolutional() -> bytes:
    """Eight layers of 64 channels on images of 3 × 64 × 64."""
    nodes, inside, before = [], [weights("w0", 64, 3, 3, 3)], "x"
    for layer in range(8):
        if layer:
            inside.append(weights(f"w{layer}", 64, 64, 3, 3))
        strides = [2, 2] if layer in {1, 4} else [1, 1]
        nodes.append(helper.make_node("Conv", [before, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1], strides=strides))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        before = f"r{layer}"
    nodes += [
        helper.make_node("GlobalAveragePool", [before], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    return saved(nodes, inside, (3, 64, 64), 64)


def bare(data: bytes, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def seconds(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def added(name: str, data: bytes, width: tuple[int, ...], folder: Path) -> None:
    """One call at batch 1, in process."""
    file = folder / f"{name}.onnx"
    file.write_bytes(data)
    model = load(file, threads=1)
    inside = model._session._session = Timed(model._session._session)  # the same call is both, so nothing else differs
    row = np.random.default_rng(1).standard_normal((1, *width)).astype(np.float32)
    ours = [seconds(lambda: model(row)) for _ in range(CALLS)]
    base = statistics.median(inside.took) * 1e6
    more = statistics.median(whole - part for whole, part in zip(ours, inside.took, strict=True)) * 1e6
    print(f"in process, {name:12} bare {base:8.1f} µs   added {more:6.1f} µs")


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

    def ask(self, connection: http.client.HTTPConnection, name: str, rows: np.ndarray[Any, Any]) -> bytes:
        described = {
            "name": "x",
            "datatype": "FP32",
            "shape": list(rows.shape),
            "parameters": {"binary_data_size": rows.nbytes},
        }
        head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
        headers = {"Authorization": f"Basic {self._token}", "Inference-Header-Content-Length": str(len(head))}
        connection.request("POST", f"/v2/models/{name}/infer", head + rows.tobytes(), headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.process.port("api"))


def through(place: Place, name: str, rows: np.ndarray[Any, Any], until: float) -> int:
    """Batches answered by then, over several connections."""
    counts = [0] * CONNECTIONS

    def client(number: int) -> None:
        connection = place.connection()
        while time.perf_counter() < until:
            place.ask(connection, name, rows)
            counts[number] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CONNECTIONS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sum(counts)


def rate(act: Callable[[float], int], lasting: float) -> float:
    began = time.perf_counter()
    count = act(began + lasting)
    return count * BATCH / (time.perf_counter() - began)


def served(
    place: Place, name: str, data: bytes, width: tuple[int, ...], threads: int, lasting: float, rounds: int
) -> None:
    """Rows a second at batch 32."""
    session = bare(data, threads)
    rows = np.random.default_rng(2).standard_normal((BATCH, *width)).astype(np.float32)
    place.registered(name, data)
    place.ask(place.connection(), name, rows)

    def alone(until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            session.run(["y"], {"x": rows})
            count += 1
        return count

    ratios, theirs, ours = [], [], []
    for _ in range(rounds):
        theirs.append(rate(alone, lasting))
        ours.append(rate(lambda until: through(place, name, rows, until), lasting))
        ratios.append(ours[-1] / theirs[-1])
    print(
        f"served, {name:12} {threads} threads, batch {BATCH}: bare {statistics.median(theirs):9.0f} rows/s   "
        f"ours {statistics.median(ours):9.0f} rows/s   ratio {statistics.median(ratios):.3f}"
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
    options = parser.parse_args()
    large = dense(1280, 2560)
    with tempfile.TemporaryDirectory(prefix="littoral-bench-") as name:
        folder = Path(name)
        added("small", dense(16, 16), (16,), folder)
        added("dense 26 MB", large, (1280,), folder)
        added("conv", convolutional(), (3, 64, 64), folder)
        opening(large, folder)
        place = Place(folder / "place", options.threads)
        try:
            served(place, "dense", large, (1280,), options.threads, options.seconds, options.rounds)
            served(place, "conv", convolutional(), (3, 64, 64), options.threads, options.seconds, options.rounds)
            first_answer(place, large)
        finally:
            place.process.stop()


if __name__ == "__main__":
    main()
