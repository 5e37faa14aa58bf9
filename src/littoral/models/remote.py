"""A place's registry, asked from outside it: by functions, programs and the command line. Blocking; no boto3 needed."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

from littoral.aws.sign import sign
from littoral.models.registry.container import MOST_BYTES
from littoral.models.registry.refusal import NoSuch, RegistryError, Untrue
from littoral.net.message import Headers

FILES: Final = "/_littoral/models/"  # beneath it, the bytes of a digest
KEY: Final = "/_littoral/models.key"  # the public one that versions are signed by, for whoever asks
SECONDS: Final = 120
PREFIX: Final = "littoral."


class Unreachable(RegistryError):
    """The place does not answer, or not to us; the message says why."""


@dataclass(frozen=True, slots=True)
class Remote:
    """``endpoint``: of the place's APIs."""

    endpoint: str
    access_key: str
    secret: str
    region: str = "us-east-1"
    token: str = ""  # of temporary credentials

    @classmethod
    def of_environment(cls) -> Self:
        """As AWS's own clients find it. Raises Unreachable."""
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            if not os.environ.get(name):
                raise Unreachable(f"a model of a registry needs {name} (eval $(littoral credentials --export))")
        return cls(
            os.environ["AWS_ENDPOINT_URL"],
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
            os.environ.get("AWS_SESSION_TOKEN", ""),
        )

    def call(self, operation: str, **members: Any) -> Any:
        """One of SageMaker's operations. Raises NoSuch, RegistryError, Unreachable."""
        body = json.dumps(members).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"SageMaker.{operation}"}
        return json.loads(self._ask("POST", "/", body, headers))

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Into a bucket, which is made where it is not there. Raises RegistryError, Unreachable."""
        path = f"/{bucket}/{quote(key, safe='/~')}"
        try:
            self._ask("PUT", path, data, {}, "s3")
        except NoSuch:
            self._ask("PUT", f"/{bucket}", b"", {}, "s3")
            self._ask("PUT", path, data, {}, "s3")

    def get(self, bucket: str, key: str) -> bytes:
        """Raises NoSuch, RegistryError, Unreachable."""
        return self._ask("GET", f"/{bucket}/{quote(key, safe='/~')}", b"", {}, "s3")

    def described(self, name: str, number: int | None = None) -> dict[str, Any]:
        """DescribeModelPackage, of the newest approved version where no number is given. Raises NoSuch, Unreachable."""
        if number is None:
            found = self.call(
                "ListModelPackages",
                ModelPackageGroupName=name,
                ModelApprovalStatus="Approved",
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=1,
            )["ModelPackageSummaryList"]
            if not found:
                raise NoSuch(f"no version of the model {name} is approved")
            number = int(found[0]["ModelPackageVersion"])
        described: dict[str, Any] = self.call("DescribeModelPackage", ModelPackageName=f"{name}/{number}")
        return described

    def data(self, sha256: str) -> bytes:
        """The file of that digest. Raises NoSuch, Untrue, Unreachable."""
        data = self._ask("GET", FILES + sha256, b"", {})
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Untrue(f"what came is not the file {sha256}")
        return data

    def component(self, recipe: bytes) -> str:
        """The ARN of a component version of Greengrass that is made of it. Raises RegistryError, Unreachable."""
        body = json.dumps({"inlineRecipe": base64.b64encode(recipe).decode()}).encode()
        fields = {"content-type": "application/json"}
        return str(
            json.loads(self._ask("POST", "/greengrass/v2/createComponentVersion", body, fields, "greengrass"))["arn"]
        )

    def _ask(self, method: str, path: str, body: bytes, fields: Mapping[str, str], service: str = "sagemaker") -> bytes:
        headers = Headers.of(fields.items())
        url = self.endpoint.rstrip("/") + path
        sign(
            method,
            url,
            headers,
            payload=body,
            access_key=self.access_key,
            secret=self.secret,
            token=self.token,
            service=service,
            region=self.region,
            now=time.time(),
        )
        request = urllib.request.Request(url, body or None, dict(headers.items()), method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                data: bytes = response.read(MOST_BYTES + 1)
                return data
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read(4000)) from None
        except (OSError, ValueError, http.client.HTTPException) as problem:
            raise Unreachable(f"{self.endpoint} does not answer: {problem}") from problem


def _refusal(status: int, body: bytes) -> RegistryError:
    text = body.decode("utf-8", "replace")
    try:
        document = json.loads(text)
        text = str(document.get("message") or document.get("Message") or text)
    except ValueError:
        text = text.partition("<Message>")[2].partition("</Message>")[0] or text
    if status == 404 or "there is no" in text or "no version" in text or "does not exist" in text:
        return NoSuch(text)
    return RegistryError(f"refused ({status}): {text}")
