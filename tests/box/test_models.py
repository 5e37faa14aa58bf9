"""Models on a box, and no link: what a device says becomes an object, a function asks a model of it."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import onnx
import pytest

from littoral.drills.stolendisk.planting import ROLE, Planting
from littoral.drills.stolendisk.scanning import scan
from tests.box.boxes import Box, littoral
from tests.models import nets
from tests.models.clients import registered, settled
from tests.objects.pairs import eventually

pytestmark = pytest.mark.timeout(300)

SOURCE = """
import json, boto3, numpy
from botocore.config import Config
from littoral.models import load

model = load("ward")
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))

def handler(event, context):
    for record in event["Records"]:
        key = record["s3"]["object"]["key"]
        said = json.loads(s3.get_object(Bucket="readings", Key=key)["Body"].read())
        answer = model(numpy.array(said["rows"], numpy.float32)).tolist()
        s3.put_object(Bucket="answers", Key=key, Body=json.dumps([model.version, answer]))
"""


def worded(word: str) -> bytes:
    made = onnx.load_from_string(nets.linear())
    made.doc_string = word
    return bytes(made.SerializeToString())


def function_on_put(planting: Planting) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("index.py", SOURCE)
    client = planting.client("lambda")
    arn = client.create_function(
        FunctionName="ask",
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="index.handler",
        Role=ROLE,
        Code={"ZipFile": archive.getvalue()},
        Timeout=60,
        MemorySize=512,
    )["FunctionArn"]
    client.get_waiter("function_active_v2").wait(FunctionName="ask", WaiterConfig={"Delay": 1})
    client.add_permission(
        FunctionName="ask", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    wanted = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    planting.client("s3").put_bucket_notification_configuration(
        Bucket="readings", NotificationConfiguration={"LambdaFunctionConfigurations": [wanted]}
    )


def heard_by_a_rule(planting: Planting, said: str) -> None:
    """A device says it over TLS; it is readings/ward7 then."""
    iot = planting.client("iot")
    pair = iot.create_keys_and_certificate(setAsActive=True)
    allowed = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
    iot.create_policy(policyName="all", policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    iot.attach_policy(policyName="all", target=pair["certificateArn"])
    action = {"s3": {"roleArn": ROLE, "bucketName": "readings", "key": "${topic(2)}"}}
    rule = {"sql": "SELECT * FROM 'ward/#'", "actions": [action]}
    iot.create_topic_rule(ruleName="heard", topicRulePayload=rule)
    planting._publish(pair, "ward/ward7", said)


def test_a_device_a_function_and_a_model_without_a_link(tmp_path: Path) -> None:
    box = Box.prepared(tmp_path)
    box.start()
    try:
        box.unlock()
        planting = Planting(box.issued.manifest, box.issued.code, box.urls, box.authority())
        s3, sagemaker = planting.client("s3"), planting.client("sagemaker")
        for bucket in ("models", "readings", "answers"):
            s3.create_bucket(Bucket=bucket)
        model = worded(planting.word("what a model says of itself"))
        of_box = ("--data-dir", str(box.folder))
        (tmp_path / "other.onnx").write_bytes(worded(planting.word("what another says of itself")))
        assert littoral("models", "register", "other", str(tmp_path / "other.onnx"), *of_box) == "other/1\n"
        assert littoral("models", "ls", "other", *of_box).splitlines()[1].split()[:2] == ["other", "1"]
        signed = sagemaker.describe_model_package(ModelPackageName=registered(s3, sagemaker, "ward", model))
        function_on_put(planting)
        heard_by_a_rule(planting, json.dumps({"rows": [[1.0, 2.0, 3.0, 4.0]]}))
        eventually(lambda: "Contents" in s3.list_objects_v2(Bucket="answers"), 90)
        answered = json.loads(s3.get_object(Bucket="answers", Key="ward7")["Body"].read())
        assert answered == ["ward/1", [[3.0, 5.0, 7.0, 9.0]]]

        container = {"Image": "onnx", "ModelDataUrl": "s3://models/ward.onnx"}
        sagemaker.create_model(ModelName="ward", PrimaryContainer=container)
        variant = {"VariantName": "all", "ModelName": "ward"}
        sagemaker.create_endpoint_config(EndpointConfigName="ward", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName="ward", EndpointConfigName="ward")
        assert settled(sagemaker, "ward")["EndpointStatus"] == "InService"
        box.asks("lock")
        assert "the box is locked" in littoral("models", "ls", *of_box, check=False)
        box.unlock()  # and the endpoint goes on
        planting.urls = box.urls
        sagemaker = planting.client("sagemaker")
        assert settled(sagemaker, "ward")["EndpointStatus"] == "InService"
        asked = planting.client("sagemaker-runtime").invoke_endpoint(
            EndpointName="ward", Body=b"0,0,0,1\n", ContentType="text/csv"
        )
        assert asked["Body"].read() == b"1.0,1.0,1.0,3.0\n"
        again = sagemaker.describe_model_package(ModelPackageName=signed["ModelPackageArn"])
        assert again["CustomerMetadataProperties"] == signed["CustomerMetadataProperties"]  # its signature, too
    finally:
        box.stop()
    seen = scan(box.folder, planting.planted)
    assert seen.found == {} and seen.files > 5
