"""Models of a real place: registered and approved as a person types it, used by functions in Python and Node.js."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from littoral.cli.main import main
from littoral.models.registry.signing import check_file
from tests.models import nets

from .conftest import ROLE, Running, needs

PYTHON = """
from littoral.models import load

model = load("ward")

def handler(event, context):
    return {"version": model.version, "answer": model(event["rows"]).tolist()}
"""
NODE = """
exports.handler = async (event) => {
  const key = `${process.env.AWS_ACCESS_KEY_ID}:${process.env.AWS_SECRET_ACCESS_KEY}`;
  const answer = await fetch(`${process.env.AWS_ENDPOINT_URL}/v2/models/ward/infer`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(key).toString("base64")}` },
    body: JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: event.row }] }),
  });
  return { status: answer.status, body: await answer.json() };
};
"""


def typed(place: Running, *words: str) -> int:
    folder = place.process.folder
    return main(["models", *words, "--data-dir", str(folder), "--port", str(place.port("api"))])


@pytest.fixture(scope="module")
def ward(place: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of ward/1, which is approved."""
    file = tmp_path_factory.mktemp("models") / "ward.onnx"
    file.write_bytes(nets.linear())
    words = ("--training-job", "ward-1", "--data", "s3://pulses/", "--metric", "recall=0.9", "--approve")
    assert typed(place, "register", "ward", str(file), *words) == 0
    return file


def test_as_a_person_types_it(place: Running, ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    ward.with_name("other.onnx").write_bytes(nets.linear(3.0))
    other = str(ward.with_name("other.onnx"))
    assert typed(place, "register", "ward", other, "--parent", "ward/1", "--metric", "recall=0.95") == 0
    assert capsys.readouterr().out == "ward/2\n"
    assert typed(place, "ls") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:3] == ["model", "version", "stage"]
    assert [line[:3] for line in lines[1:]] == [["ward", "1", "Approved"], ["ward", "2", "PendingManualApproval"]]
    assert typed(place, "show", "ward") == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (shown["version"], shown["training-job"], shown["metrics.recall"]) == ("1", "ward-1", "0.9")
    assert shown["inputs"] == "x FP32[N, 4]"
    assert typed(place, "diff", "ward/1", "ward/2", "--json") == 0
    other_keys = json.loads(capsys.readouterr().out)
    assert other_keys["metrics.recall"] == ["0.9", "0.95"] and other_keys["parent"] == ["-", "ward/1"]
    assert "inputs" not in other_keys and "sha256" in other_keys
    assert typed(place, "reject", "ward/2", "--because", "too slow") == 0
    capsys.readouterr()
    assert typed(place, "show", "ward/2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["stage"], told["because"]) == ("Rejected", "too slow")


def test_a_version_becomes_a_component_with_the_registrys_signature(
    place: Running, ward: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert typed(place, "component", "ward", "--component", "ward.net", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["component"], made["version"]) == ("ward.net", "1.0.0")
    recipe = json.loads(place.client("greengrassv2").get_component(arn=made["arn"])["recipe"])
    files = {}
    for each in recipe["Manifests"][0]["Artifacts"]:
        bucket, _, key = each["URI"].removeprefix("s3://").partition("/")
        files[key.rpartition("/")[2]] = place.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    model, signature = files["ward.onnx"], files["ward.onnx.signature"]
    assert model == ward.read_bytes()
    with urlopen(f"{place.api}/_littoral/models.key") as answer:
        public = answer.read().decode()
    check_file(signature, "ward", hashlib.sha256(model).hexdigest(), len(model), public)
    for words, said in (
        (("component", "ward", "--component", "ward.net"), "exists"),
        (("component", "ward/9"), "no version 9"),
        (("component", "ward", "--component", "a b"), "componentName"),
    ):
        assert typed(place, *words) == 1
        error = capsys.readouterr().err
        assert error.startswith("littoral: ") and said in error and error.count("\n") == 1
    ward.with_name("third.onnx").write_bytes(nets.linear(4.0))
    assert typed(place, "register", "bed", str(ward.with_name("third.onnx"))) == 0
    assert typed(place, "component", "bed/1") == 1
    assert "bed/1 is not approved" in capsys.readouterr().err


def test_what_is_typed_wrongly(place: Running, ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = ward.with_name("bad.onnx")
    bad.write_bytes(b"\x80\x04 a pickle")
    for words, said in (
        (("register", "ward", str(bad)), "pickle"),
        (("register", "ward", str(ward.with_name("none.onnx"))), "No such file"),
        (("register", "no name", str(ward)), "satisfy"),
        (("register", "ward", str(ward), "--metric", "a=nan"), "finite"),
        (("show", "nobody"), "no model nobody"),
        (("show", "ward/9"), "no version 9"),
        (("show", "ward/x"), "ward/3"),
        (("approve", "ward"), "ward/3"),
    ):
        assert typed(place, *words) == 1
        error = capsys.readouterr().err
        assert error.startswith("littoral: ") and said in error and error.count("\n") == 1


def invoked(place: Running, name: str, runtime: str, file: str, source: str, event: Any) -> Any:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr(file, source)
    client = place.client("lambda", read_timeout=100)
    client.create_function(
        FunctionName=name,
        Runtime=runtime,
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": code.getvalue()},
        MemorySize=1024,
        Timeout=60,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


def test_a_function_in_python_has_it_in_its_process(place: Running, ward: Path) -> None:
    told = invoked(place, "ward-python", "python3.11", "app.py", PYTHON, {"rows": [[1, 2, 3, 4]]})
    assert told == {"version": "ward/1", "answer": [[3.0, 5.0, 7.0, 9.0]]}


def test_a_function_in_node_asks_the_place(place: Running, ward: Path) -> None:
    needs("node")
    told = invoked(place, "ward-node", "nodejs22.x", "app.js", NODE, {"row": [1, 2, 3, 4]})
    assert told["status"] == 200 and told["body"]["model_version"] == "1"
    assert told["body"]["outputs"][0]["data"] == [3.0, 5.0, 7.0, 9.0]


def test_the_aws_cli_lists_them(place: Running, ward: Path) -> None:
    told = json.loads(place.aws("sagemaker", "list-model-packages", "--model-package-group-name", "ward"))
    assert told["ModelPackageSummaryList"][0]["ModelPackageVersion"] == 1
