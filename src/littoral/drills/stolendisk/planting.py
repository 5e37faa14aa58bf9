"""All that a box may hold, planted through its public APIs: each with a word of chance to be looked for later."""

from __future__ import annotations

import base64
import io
import json
import os
import secrets
import ssl
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from littoral.box.manifest import Manifest
from littoral.tour.provision import ROLE, NotProvisioned

BUCKET, WORKED = "scans", "worked"
LARGE = 3_000_000  # bytes of the large object
LARGER = 40_000_000  # bytes of a file that a transfer sends as it will lie on the box's disk
PATIENCE = 60.0  # seconds for what functions and rules write

SOURCE = """
import json, os, boto3
# WORD
def handler(event, context):
    print("LOGGED", os.environ["PLANTED"])
    open("/tmp/SCRATCH", "w").write("SCRATCH")
    s3 = boto3.client("s3", config=__import__("botocore.config").config.Config(s3={"addressing_style": "path"}))
    for record in event["Records"]:
        key = record["s3"]["object"]["key"]
        body = s3.get_object(Bucket=record["s3"]["bucket"]["name"], Key=key)["Body"].read()
        s3.put_object(Bucket="worked", Key="done", Body=b"TRANSFORMED" + body[:1000].upper())
"""


class Planting:
    """``planted`` is what the thief looks for: by what it is, the word."""

    def __init__(self, manifest: Manifest, code: str, urls: dict[str, str], ca: Path) -> None:
        self.planted = {
            "the unlock code": code,
            "the job key": manifest.job_key.hex(),
            "the access key id": manifest.access_key,
            "the secret access key": manifest.secret_key,
            "the key of the authority": manifest.authority_key.splitlines()[1],
        }
        self._manifest = manifest
        self.urls = urls
        self._ca = ca

    def word(self, what: str) -> str:
        """A new one, letters and digits, which a bucket may be called, too."""
        made = self.planted[what] = f"w{secrets.token_hex(11)}"
        return made

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.urls["api"],
            region_name=self._manifest.region,
            aws_access_key_id=self._manifest.access_key,
            aws_secret_access_key=self._manifest.secret_key,
            verify=str(self._ca),
            config=Config(s3={"addressing_style": "path"}),
        )

    def fill(self) -> None:
        """Raises NotProvisioned where the box does not do what it should."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=self.word("the name of a bucket"))
        for bucket in (BUCKET, WORKED):
            s3.create_bucket(Bucket=bucket)
        self.functions(s3)
        key = self.word("the key of an object")
        small, large = self.word("a small object"), self.word("a large object")
        tags = f"tag={self.word('a tag')}"
        s3.put_object(Bucket=BUCKET, Key=key, Body=small, Metadata={"m": self.word("metadata")}, Tagging=tags)
        s3.put_object(Bucket=BUCKET, Key="large", Body=(large * (LARGE // len(large) + 1)).encode())
        gone = self.word("a deleted object")
        s3.put_object(Bucket=BUCKET, Key="gone", Body=(gone * 5000).encode())
        s3.delete_object(Bucket=BUCKET, Key="gone")
        secret = self.word("a secret")
        self.client("secretsmanager").create_secret(Name=self.word("the name of a secret"), SecretString=secret)
        self.devices()
        self.transfer()
        if "webdav" in self.urls:
            self.file()
        self._wait(s3, WORKED, "done")
        self._wait(s3, WORKED, "heard")

    def functions(self, s3: Any) -> None:
        """One that transforms whatever is put into the bucket."""
        source = SOURCE
        for place in ("WORD", "LOGGED", "SCRATCH", "TRANSFORMED"):
            source = source.replace(place, self.word(f"a function's {place.lower()}"))
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as bundle:  # so that it is found where it lies open
            bundle.writestr("index.py", source)
        client, name = self.client("lambda"), self.word("the name of a function")
        made = client.create_function(
            FunctionName=name,
            Runtime=f"python3.{sys.version_info.minor}",
            Handler="index.handler",
            Role=ROLE,
            Code={"ZipFile": archive.getvalue()},
            Environment={"Variables": {"PLANTED": self.word("a function's environment")}},
            Timeout=60,
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        client.add_permission(
            FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
        )
        wanted = {"LambdaFunctionArn": made["FunctionArn"], "Events": ["s3:ObjectCreated:*"]}
        s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [wanted]}
        )

    def devices(self) -> None:
        """A device publishes over TLS with its certificate; a rule makes an object of what it says."""
        iot, thing = self.client("iot"), self.word("the name of a thing")
        iot.create_thing(thingName=thing, attributePayload={"attributes": {"a": self.word("an attribute")}})
        pair = iot.create_keys_and_certificate(setAsActive=True)
        self.planted["a device's key"] = pair["keyPair"]["PrivateKey"].splitlines()[1]
        allowed = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iot.create_policy(policyName="all", policyDocument=document)
        iot.attach_policy(policyName="all", target=pair["certificateArn"])
        action = {"s3": {"roleArn": ROLE, "bucketName": WORKED, "key": "heard"}}
        rule = {"sql": "SELECT * FROM 'ward/#'", "actions": [action]}
        iot.create_topic_rule(ruleName="heard", topicRulePayload=rule)
        payload = json.dumps({"says": self.word("a message")})
        self._publish(pair, f"ward/{self.word('a topic')}", payload)

    def _publish(self, pair: dict[str, Any], topic: str, payload: str) -> None:
        keys = self._ca.parent
        certificate, key = keys / "device.crt", keys / "device.key"
        certificate.write_text(pair["certificatePem"])
        key.write_text(pair["keyPair"]["PrivateKey"])
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bed1")
        client.tls_set(str(self._ca), str(certificate), str(key), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.connect("localhost", int(self.urls["mqtt-tls"].rsplit(":", 1)[1]))
        client.loop_start()
        try:
            client.publish(topic, payload, qos=1, retain=True).wait_for_publish(PATIENCE)
        finally:
            client.disconnect()
            client.loop_stop()

    def transfer(self) -> None:
        """Small files go in a tar, the large one in records of its own, and as it will lie on the disk."""
        source = self._ca.parent / "transfer"
        small = source / self.word("the name of a folder")
        small.mkdir(parents=True)
        large = self.word("a large file")
        (source / "large").write_text(large * (LARGER // len(large) + 1))
        for number in range(3):
            (small / f"{number}").write_text(self.word(f"small file {number}") * 100)
        keys = {
            "AWS_ACCESS_KEY_ID": self._manifest.access_key,
            "AWS_SECRET_ACCESS_KEY": self._manifest.secret_key,
            "XDG_STATE_HOME": str(self._ca.parent),
        }
        words = ["box", "transfer", str(source), f"s3://{WORKED}/files", "--endpoint", self.urls["api"]]
        done = subprocess.run(
            [sys.executable, "-m", "littoral", *words, "--ca", str(self._ca)],
            env={**os.environ, **keys},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise NotProvisioned(f"the transfer did not come to its end: {done.stderr}")

    def file(self) -> None:
        """By WebDAV."""
        name, content = self.word("the name of a file"), self.word("a file") * 50_000
        user = base64.b64encode(f"{self._manifest.access_key}:{self._manifest.secret_key}".encode()).decode()
        asked = urllib.request.Request(
            f"{self.urls['webdav']}/{WORKED}/{name}", content.encode(), {"Authorization": f"Basic {user}"}, method="PUT"
        )
        trusting = ssl.create_default_context(cafile=str(self._ca))
        try:
            urllib.request.urlopen(asked, context=trusting, timeout=PATIENCE).close()
        except OSError as problem:
            raise NotProvisioned(f"WebDAV takes no file: {problem}") from problem

    def _wait(self, s3: Any, bucket: str, key: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=key):
            if time.monotonic() > deadline:
                raise NotProvisioned(f"nothing wrote {bucket}/{key}")
            time.sleep(0.2)
