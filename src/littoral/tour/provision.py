"""Everything the tour sets up, through the public APIs with boto3: what an operator would type, no back door."""

from __future__ import annotations

import io
import json
import time
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from littoral.tour.monitors import Identity

WARD = "ward7"
BUCKET = "ward7-data"
CORE = "ward7-core"
ROLE = "arn:aws:iam::000000000000:role/littoral-tour"
COMPONENT = "ward.vitals"
WATCH = "ward.rhythm"  # the ward's model
MODEL = ("pulse.py", "model.onnx", "lineage.json")  # of littoral.tour.ward, into the function's zip
BRIDGE = "aws.greengrass.clientdevices.mqtt.Bridge"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"


class NotProvisioned(Exception):
    """A place took the request but did not get where it should; the message says which and how far."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """boto3 clients of one place's API."""

    endpoint: str
    access_key: str
    secret_key: str

    def client(self, service: str, *, retries: dict[str, Any] | None = None) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries=retries or {"mode": "standard"}),
        )


def zipped(function: str, package: str = "littoral.tour", also: Iterable[Traversable] = ()) -> bytes:
    """The deployment package of one of that package's functions, with other files, the same bytes every time."""
    archive = io.BytesIO()
    folder = resources.files(package) / "functions" / function
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for item in sorted((*folder.iterdir(), *also), key=lambda entry: entry.name):
            if item.is_file():
                entry = zipfile.ZipInfo(item.name, date_time=(2020, 1, 1, 0, 0, 0))
                entry.external_attr = 0o644 << 16
                bundle.writestr(entry, item.read_bytes())
    return archive.getvalue()


def function(
    cloud: Cloud,
    name: str,
    runtime: str,
    handler: str,
    *,
    package: str = "littoral.tour",
    also: Iterable[Traversable] = (),
    **configuration: Any,
) -> str:
    """Create a function, publish version 1, return the version's ARN."""
    client = cloud.client("lambda")
    client.create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler=handler,
        Role=ROLE,
        Code={"ZipFile": zipped(name, package, also)},
        **configuration,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    return str(client.publish_version(FunctionName=name)["FunctionArn"])


def bucket(cloud: Cloud, chart_arn: str) -> None:
    """The ward's bucket; every aggregate that arrives triggers the chart function."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    cloud.client("lambda").add_permission(
        FunctionName="chart",
        StatementId="from-bucket",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{BUCKET}",
    )
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {
                    "LambdaFunctionArn": chart_arn.rpartition(":")[0],
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "aggregates/"}]}},
                }
            ]
        },
    )


def pages(cloud: Cloud, beds: list[str]) -> None:
    """The ward page and one page a bed."""
    figures = {bed: f'<figure><img src="/charts/{bed}.svg" alt="Heart rate of {bed}"></figure>' for bed in beds}
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>{title}</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;"
        "padding:0 1rem;color:#123}}figure{{margin:0 0 1rem}}img{{max-width:100%}}</style>"
        "<h1>{title}</h1>{body}</html>"
    )
    documents = {f"beds/{bed}.html": page.format(title=f"Bed {bed}", body=figures[bed]) for bed in beds}
    documents["index.html"] = page.format(title="Ward 7", body="".join(figures.values()))
    for key, text in documents.items():
        cloud.client("s3").put_object(
            Bucket=BUCKET, Key=key, Body=text.encode(), ContentType="text/html", CacheControl="max-age=300"
        )


def rule(cloud: Cloud) -> None:
    """Aggregates that reach the region become objects; the key makes a redelivery overwrite itself."""
    cloud.client("iot").create_topic_rule(
        ruleName="ward_aggregates",
        topicRulePayload={
            "sql": f"SELECT *, topic(3) AS bed FROM '{WARD}/bed/+/aggregate'",
            "awsIotSqlVersion": "2016-03-23",
            "actions": [
                {"s3": {"roleArn": ROLE, "bucketName": BUCKET, "key": "aggregates/${topic(3)}/${window}.json"}}
            ],
        },
    )


def policies(cloud: Cloud) -> None:
    """What a bed, the nurses' station and the core may do."""
    iot = cloud.client("iot")
    arn = "arn:aws:iot:us-east-1:000000000000"
    own = "${iot:Connection.Thing.ThingName}"
    documents: Mapping[str, list[tuple[str, list[str]]]] = {
        "bed": [
            ("iot:Connect", [f"{arn}:client/{own}"]),
            ("iot:Publish", [f"{arn}:topic/{WARD}/bed/{own}/waveform"]),
        ],
        "station": [
            ("iot:Connect", [f"{arn}:client/{own}"]),
            ("iot:Subscribe", [f"{arn}:topicfilter/{WARD}/bed/*"]),
            ("iot:Receive", [f"{arn}:topic/{WARD}/bed/*"]),
        ],
        "core": [("iot:*", ["*"]), ("greengrass:*", ["*"])],
    }
    for name, statements in documents.items():
        body = [{"Effect": "Allow", "Action": [action], "Resource": target} for action, target in statements]
        document = json.dumps({"Version": "2012-10-17", "Statement": body})
        iot.create_policy(policyName=name, policyDocument=document)


def thing(cloud: Cloud, name: str, policy: str, folder: Path, ca: Path) -> Identity:
    """A thing with its own certificate and key, written to ``folder`` (the key readable by its owner only)."""
    iot = cloud.client("iot")
    iot.create_thing(thingName=name)
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
    iot.attach_policy(policyName=policy, target=made["certificateArn"])
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_text(made["certificatePem"])
    key.touch(mode=0o600)
    key.write_text(made["keyPair"]["PrivateKey"])
    return Identity(name, certificate, key, ca)


def authority(url: str, file: Path) -> Path:
    """A place's CA certificate, as it hands it to everybody."""
    with urllib.request.urlopen(f"{url}/_littoral/ca.pem", timeout=10) as answer:
        file.write_bytes(answer.read())
    return file


def model_files() -> list[Traversable]:
    """The ward's model, and how a pulse is shown to it."""
    folder = resources.files("littoral.tour") / "ward"
    return [folder / name for name in MODEL]


def deployment(cloud: Cloud, functions: Mapping[str, str]) -> str:
    """The functions (components to ARNs), deployed to the core with the bridge that carries aggregates up."""
    greengrass = cloud.client("greengrassv2")
    for component, arn in functions.items():
        greengrass.create_component_version(
            lambdaFunction={
                "lambdaArn": arn,
                "componentName": component,
                "componentVersion": "1.0.0",
                "componentLambdaParameters": {
                    "eventSources": [{"topic": f"{WARD}/bed/+/waveform", "type": "PUB_SUB"}],
                    "pinned": True,
                    "maxInstancesCount": 1,
                    "timeoutInSeconds": 10,
                },
            }
        )
    mapping = {"aggregates": {"topic": f"{WARD}/bed/+/aggregate", "source": "LocalMqtt", "target": "IotCore"}}
    created = greengrass.create_deployment(
        targetArn=f"arn:aws:iot:us-east-1:000000000000:thing/{CORE}",
        deploymentName="ward 7",
        components={
            **{component: {"componentVersion": "1.0.0"} for component in functions},
            BRIDGE: {
                "componentVersion": "2.3.2",
                "configurationUpdate": {"merge": json.dumps({"mqttTopicMapping": mapping})},
            },
        },
    )
    return str(created["deploymentId"])


def wait_deployed(cloud: Cloud, deployment_id: str, timeout: float = 30.0) -> None:
    """Until the core says that it runs the deployment. Raises NotProvisioned."""
    greengrass = cloud.client("greengrassv2")
    deadline = time.monotonic() + timeout
    status = "not reported"
    while time.monotonic() < deadline:
        found = greengrass.list_effective_deployments(coreDeviceThingName=CORE)["effectiveDeployments"]
        mine = [entry for entry in found if entry["deploymentId"] == deployment_id]
        if mine:
            status = mine[0]["coreDeviceExecutionStatus"]
            if status in {"SUCCEEDED", "COMPLETED"}:
                return
            if status in {"FAILED", "REJECTED", "CANCELED", "TIMED_OUT"}:
                raise NotProvisioned(f"deployment {status}: {mine[0].get('reason', '')}")
        time.sleep(0.2)
    raise NotProvisioned(f"the core did not finish its deployment in {timeout:g} s: {status}")


def distribution(cloud: Cloud, viewer_request: str, origin_response: str) -> tuple[str, str]:
    """The ward's pages through the edge: returns the distribution's id and domain name."""
    cloudfront = cloud.client("cloudfront")
    control = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": BUCKET,
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )["OriginAccessControl"]["Id"]
    triggers = [
        {"LambdaFunctionARN": viewer_request, "EventType": "viewer-request", "IncludeBody": False},
        {"LambdaFunctionARN": origin_response, "EventType": "origin-response", "IncludeBody": False},
    ]
    origin = {
        "Id": "ward",
        "DomainName": f"{BUCKET}.s3.us-east-1.amazonaws.com",
        "OriginAccessControlId": control,
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    made = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": "littoral-tour",
            "Comment": "Ward 7",
            "Enabled": True,
            "DefaultRootObject": "index.html",
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {
                "TargetOriginId": "ward",
                "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": CACHING_OPTIMIZED,
                "LambdaFunctionAssociations": {"Quantity": len(triggers), "Items": triggers},
            },
        }
    )["Distribution"]
    cloudfront.get_waiter("distribution_deployed").wait(Id=made["Id"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return made["Id"], made["DomainName"]
