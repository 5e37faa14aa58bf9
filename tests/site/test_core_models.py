"""A model of a region's registry on a real core: signed, asked over HTTP, and by a function in Node.js."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from littoral.cli.credentials import CREDENTIALS_FILE
from littoral.cli.main import main
from littoral.site.settings import read_credentials
from littoral.tour.places import PlaceProcess
from littoral.tour.provision import CORE, wait_deployed
from tests.models import nets
from tests.site.conftest import ROLE, Running, needs, up
from tests.site.on_device import a_core, cloud_of
from tests.site.test_models import NODE

SERVER = {"models": {"ward": {"component": "model.ward", "registry": "ward", "in": "ward/+/in", "out": "ward/$1/out"}}}
INPUT = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
PATIENT = 120.0


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaceProcess]:
    """With ward/1 of the region's registry, and a function in Node.js that asks it."""
    node = needs("node")
    folder = tmp_path_factory.mktemp("device")
    region = up(folder / "region", kind="region")
    try:
        (folder / "ward.onnx").write_bytes(nets.linear())
        here = ("--data-dir", str(region.process.folder), "--port", str(region.port("api")))
        assert main(["models", "register", "ward", str(folder / "ward.onnx"), "--approve", *here]) == 0
        assert main(["models", "component", "ward/1", *here]) == 0
        with urllib.request.urlopen(f"{region.api}/_littoral/models.key") as answer:
            key = answer.read().decode()
        made = a_core(region, folder, "--models-key", key, "--models-signed", "on", "--node", node)
        try:
            _deploy(region)
            yield made
            assert made.stop() == 0, made.log_end()
        except BaseException:
            made.stop()
            raise
    finally:
        region.process.stop()


def _deploy(region: Running) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.js", NODE)
    function = region.client("lambda").create_function(
        FunctionName="ask",
        Runtime="nodejs22.x",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": code.getvalue()},
        Publish=True,
    )
    greengrass = region.client("greengrassv2")
    greengrass.create_component_version(
        lambdaFunction={
            "lambdaArn": function["FunctionArn"],
            "componentName": "ward.ask",
            "componentVersion": "1.0.0",
            "componentLambdaParameters": {"pinned": False, "timeoutInSeconds": 60},
        }
    )
    server = {"componentVersion": "1.0.0", "configurationUpdate": {"merge": json.dumps(SERVER)}}
    one = {"componentVersion": "1.0.0"}
    deployment = greengrass.create_deployment(
        targetArn=f"arn:aws:iot:us-east-1:000000000000:thing/{CORE}",
        components={"model.ward": one, "ward.ask": one, "littoral.ModelServer": server},
    )
    wait_deployed(cloud_of(region), deployment["deploymentId"], PATIENT)


def asked(core: PlaceProcess, path: str, body: Any = None, *, signed: bool = True) -> tuple[int, Any]:
    request = urllib.request.Request(core.urls["api"] + path, None if body is None else json.dumps(body).encode())
    if signed:
        pair = ":".join(read_credentials(core.folder / CREDENTIALS_FILE))
        request.add_header("authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENT) as answer:
            said = answer.read()
            return answer.status, json.loads(said) if said else None
    except urllib.error.HTTPError as problem:
        with problem:
            said = problem.read()
            return problem.code, json.loads(said)["error"]


def test_a_core_speaks_the_open_inference_protocol(core: PlaceProcess) -> None:
    assert asked(core, "/v2/health/ready", signed=False) == (200, {"ready": True})
    assert asked(core, "/v2/models/ward", signed=False)[0] == 401
    status, said = asked(core, "/v2/models/ward")
    assert (status, said["versions"], said["inputs"][0]["shape"]) == (200, ["1.0.0"], [-1, 4])
    assert asked(core, "/v2/models/ward/ready") == (200, {"name": "ward", "ready": True})
    assert asked(core, "/v2/repository/index")[1] == [
        {"name": "ward", "version": "1.0.0", "state": "READY", "reason": ""}
    ]
    for path in ("/v2/models/ward/infer", "/v2/models/ward/versions/1.0.0/infer"):
        status, said = asked(core, path, {"inputs": [INPUT]})
        assert (status, said["model_version"], said["outputs"][0]["data"]) == (200, "1.0.0", [3, 5, 7, 9])
    assert asked(core, "/v2/models/ward/infer", {"inputs": [INPUT | {"shape": [1, 3]}]})[0] == 400
    for path in ("/v2/models/nobody/ready", "/v2/models/ward/versions/2/ready", "/v2/models/ward/versions//ready"):
        assert asked(core, path)[0] == 404


def test_a_function_in_node_js_on_the_core_uses_the_model(core: PlaceProcess) -> None:
    access, secret = read_credentials(core.folder / CREDENTIALS_FILE)
    client: Any = boto3.client(
        "lambda", "us-east-1", endpoint_url=core.urls["api"], aws_access_key_id=access, aws_secret_access_key=secret
    )
    answer = client.invoke(FunctionName="ask:1", Payload=json.dumps({"row": [1, 2, 3, 4]}))
    told = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, told
    assert told["status"] == 200 and told["body"]["model_version"] == "1.0.0"
    assert told["body"]["outputs"][0]["data"] == [3, 5, 7, 9]


def test_the_file_is_the_registrys(core: PlaceProcess) -> None:
    (laid,) = (core.folder / "components/packages/artifacts/model.ward").iterdir()
    assert {each.name for each in laid.iterdir()} == {"ward.onnx", "ward.onnx.signature"}
    said = json.loads((laid / "ward.onnx.signature").read_bytes())
    assert said["sha256"] == hashlib.sha256((laid / "ward.onnx").read_bytes()).hexdigest()
