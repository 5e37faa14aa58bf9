"""The Open Inference Protocol with Triton's own client (in a process of its own: it brings gevent), and by hand."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from typing import Any

import numpy as np
import pytest

from tests.models import nets
from tests.models.clients import registered
from tests.support.served import Served

TRITON = """
import json, sys
import numpy as np
import tritonclient.http as triton
from tritonclient.http.auth import BasicAuth
from tritonclient.utils import InferenceServerException

address, key, secret, name, words = sys.argv[1:]
client = triton.InferenceServerClient(address)
assert client.is_server_live() and client.is_server_ready()
told = {}
try:
    client.get_model_metadata(name)
except InferenceServerException as problem:
    told["unsigned"] = problem.status()
client.register_plugin(BasicAuth(key, secret))
told["server"] = client.get_server_metadata()["name"]
told["ready"] = [client.is_model_ready(name), client.is_model_ready(name, "1"), client.is_model_ready("nobody")]
told["metadata"] = client.get_model_metadata(name)
told["index"] = [each["state"] for each in client.get_model_repository_index() if each["name"] == name]


def asked(binary, version=""):
    given = triton.InferInput("x", [2, 4], "FP32")
    given.set_data_from_numpy(np.arange(8, dtype=np.float32).reshape(2, 4), binary_data=binary)
    wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
    answer = client.infer(name, [given], outputs=wanted, model_version=version, request_id="r-7")
    head = answer.get_response()
    return [head["id"], head["model_version"], answer.as_numpy("y").tolist()]


told["answers"] = [asked(True), asked(False), asked(True, "1")]
given = triton.InferInput("x", [2, 4], "FP32")
given.set_data_from_numpy(np.zeros((2, 4), np.float32))
told["all outputs"] = client.infer(name, [given]).as_numpy("y").tolist()
texts = np.array(["eins", "zwei ü"], dtype=object)
inputs = [triton.InferInput(each, [2, 2], "FP32") for each in "ab"] + [triton.InferInput("words", [2], "BYTES")]
for each, data in zip(inputs, (np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), texts)):
    each.set_data_from_numpy(data)
answer = client.infer(words, inputs)
told["words"] = [each.decode() for each in answer.as_numpy("same").tolist()]
told["sum"] = answer.as_numpy("sum").tolist()
bad = triton.InferInput("x", [2, 3], "FP32")
bad.set_data_from_numpy(np.zeros((2, 3), np.float32))
for wrong, number in ((bad, ""), (given, "9")):
    try:
        client.infer(name, [wrong], model_version=number)
    except InferenceServerException as problem:
        told.setdefault("refused", []).append([problem.status(), problem.message()])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def name(s3: Any, sagemaker: Any) -> str:
    """Of a model with two approved versions and one that waits."""
    made = f"m-{uuid.uuid4().hex[:8]}"
    for scale in (2.0, 3.0):
        registered(s3, sagemaker, made, nets.linear(scale))
    registered(s3, sagemaker, made, nets.linear(4.0), stage="PendingManualApproval")
    return made


def test_triton_s_client(place: Served, s3: Any, sagemaker: Any, name: str) -> None:
    pytest.importorskip("tritonclient", reason="tritonclient is not installed (requirements.lock)")
    words = f"w-{uuid.uuid4().hex[:8]}"
    registered(s3, sagemaker, words, nets.two_inputs())
    address = place.url.removeprefix("http://")
    command = [sys.executable, "-c", TRITON, address, place.access_key, place.secret_key, name, words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["unsigned"] == "401" and told["server"] == "littoral"
    assert told["ready"] == [True, True, False]
    assert told["metadata"] == {
        "name": name,
        "versions": ["1", "2"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
    }
    assert told["index"] == ["READY", "READY"]
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    newest, first = (rows * 3 + 1).tolist(), (rows * 2 + 1).tolist()
    assert told["answers"] == [["r-7", "2", newest], ["r-7", "2", newest], ["r-7", "1", first]]
    assert told["all outputs"] == [[1.0] * 4] * 2
    assert told["words"] == ["eins", "zwei ü"] and told["sum"] == [[2.0, 2.0]] * 2
    assert [each[0] for each in told["refused"]] == ["400", "404"] and "shape" in told["refused"][0][1]


def asked(place: Served, target: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    token = base64.b64encode(f"{place.access_key}:{place.secret_key}".encode()).decode()
    request = urllib.request.Request(place.url + target, body, {"Authorization": f"Basic {token}", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def request(**changes: Any) -> bytes:
    given = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4], **changes}
    return json.dumps({"inputs": [{key: value for key, value in given.items() if value is not None}]}).encode()


def test_by_hand(place: Served, name: str) -> None:
    status, body = asked(place, f"/v2/models/{name}/infer", request())
    assert status == 200 and json.loads(body)["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [4.0, 7.0, 10.0, 13.0]}
    ]
    assert asked(place, "/v2/health/live") == (200, b'{"live": true}')
    assert asked(place, f"/v2/models/{name}/versions/3/infer", request())[0] == 404  # it is not approved
    assert asked(place, f"/v2/models/{name}/versions/x")[0] == 404
    assert asked(place, f"/v2/models/{name}/infer")[0] == 405
    assert asked(place, f"/v2/models/{name}/explain", b"{}")[0] == 404
    assert asked(place, f"/v2/models/{name}/infer", request(), **{"Authorization": "Basic AAAA"})[0] == 401
    assert asked(place, f"/v2/models/{name}/infer", request(), **{"Content-Encoding": "gzip"})[0] == 415


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"),
        (b"[]", "inputs"),
        (b'{"inputs": [{"name": "x"}]}', "datatype"),
        (request(datatype="FP8"), "datatype"),
        (request(datatype="FP64"), "FP64"),
        (request(shape=[4]), "shape"),
        (request(shape=[1, 5]), "shape [1, 5]"),
        (request(shape=[-1, 4]), "no shape"),
        (request(data=None), "no data"),
        (request(data=["a", 1, 2, 3]), "no FP32"),
        (request(name="z"), "missing"),
        (request(parameters={"shared_memory_region": "r"}), "shared_memory_region"),
        (request(data=None, parameters={"binary_data_size": 16}), "binary bytes follow"),
        (json.dumps({"inputs": [json.loads(request())["inputs"][0]] * 2}).encode(), "twice"),
    ],
)
def test_what_is_not_asked_well(place: Served, name: str, body: bytes, said: str) -> None:
    status, answer = asked(place, f"/v2/models/{name}/infer", body)
    assert status == 400 and said in json.loads(answer)["error"]


def test_binary_that_does_not_fit(place: Served, name: str) -> None:
    def binary(data: bytes, **more: Any) -> tuple[int, str]:
        head = request(data=None, parameters={"binary_data_size": 16})
        length = {"Inference-Header-Content-Length": str(more.get("length", len(head)))}
        status, answer = asked(place, f"/v2/models/{name}/infer", head + data, **length)
        return status, answer.decode()

    assert binary(struct.pack("<4f", 1, 2, 3, 4))[0] == 200
    for data, said in (
        (b"", "16 binary"),
        (bytes(17), "left over"),
        (struct.pack("<4f", 1, 2, 3, float("nan")), "NaN"),
    ):
        status, answer = binary(data)
        assert status == 400 and said in answer
    assert binary(bytes(16), length=10_000)[0] == 400 and binary(bytes(16), length="x")[0] == 400
