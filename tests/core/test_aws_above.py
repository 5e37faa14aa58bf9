"""A core whose place above is spoken to as AWS is: MQTT, HTTPS by the certificate, the credentials provider and the
APIs each at its own address, where nothing is answered that AWS does not answer there. Behind them is our region."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from littoral.core.link import Upstream
from littoral.core.shadowmanager import settings as shadowmanager
from littoral.core.tes import ENDPOINT, NAME, URI
from littoral.net.listen import HttpService, listen_stream
from littoral.net.message import Request, Response, json_response
from littoral.net.tls import server_context
from littoral.site.place import Misconfigured
from littoral.site.settings import Settings
from littoral.site.upstream import _apart
from tests.core.programs import IDLE, recipe
from tests.core.test_artifacts import bucket, digest
from tests.core.test_groups import group, group_arn
from tests.core.test_groups import outcome as group_outcome
from tests.core.world import CORE, CorePlace, RegionPlace, until

DATA = ("/greengrass/v2/resolveComponentCandidates", f"/greengrass/v2/coreDevices/{CORE}/", "/topics/", "/things/")
PROVIDER = "/role-aliases/"


def rewritten(answer: Response) -> Response:
    """ResolveComponentCandidates' answer, as AWS's is of its own components."""
    assert isinstance(answer.body, bytes)
    document = json.loads(answer.body)
    for each in document["resolvedComponentVersions"]:
        recipe = base64.b64decode(each["recipe"]).replace(b"s3://parts/deep/model", f"greengrass:{OWN}".encode())
        each["recipe"] = base64.b64encode(recipe).decode()
    return json_response(answer.status, document)


class Doors:
    """The region's, as AWS has them; ``strange`` is what came to one that AWS does not have there."""

    def __init__(self, region: RegionPlace, stack: AsyncExitStack) -> None:
        self._region = region
        self._stack = stack
        self.strange: list[str] = []
        self.asked: list[str] = []
        self.kept = ""  # where what Greengrass keeps itself may be fetched

    def _of_its_own(self, request: Request) -> Response | None:
        """AWS's answer to GetComponentVersionArtifact, by botocore's model."""
        asked = re.fullmatch(r"/greengrass/v2/components/([^/]+)/artifacts/(.+)", request.raw_path)
        if not self.kept or asked is None:
            return None
        assert (request.method, unquote(asked[2])) == ("GET", OWN)
        assert unquote(asked[1]).startswith("arn:aws:greengrass:") and unquote(asked[1]).endswith(
            ":components:a:versions:2.0.0"
        )
        return json_response(200, {"preSignedUrl": f"{self.kept}?X-Amz-Signature=7"})

    async def https(self, known: Callable[[Request], bool], *, certificate: bool) -> str:
        async def handle(request: Request) -> Response:
            self.asked.append(f"{request.method} {request.raw_path}")
            if certificate and (own := self._of_its_own(request)) is not None:
                return own
            if not known(request):
                self.strange.append(self.asked[-1])
                return json_response(404, {"message": "AWS has no such thing here"})
            gateway = self._region.gateway
            answer = gateway.handle_device(request) if certificate else gateway.handle(request)
            found: Any = await answer if not isinstance(answer, Response) else answer
            return rewritten(found) if self.kept and request.raw_path == DATA[0] else found

        service = HttpService(handle)
        self._stack.push_async_callback(service.close, 0)
        return f"https://localhost:{await self._listen(lambda: service.connection, certificate=certificate)}"

    async def mqtt(self) -> int:
        things = self._region.things
        factory = things.broker.protocol_factory("tls", things.access, "aws")
        return await self._listen(lambda: factory, certificate=True)

    async def _listen(self, factory: Callable[[], Any], *, certificate: bool) -> int:
        issued = self._region.authority.issue_server(["localhost"])
        cas = [self._region.authority.certificate_pem] if certificate else []
        tls = server_context(
            (issued.certificate, issued.private_key), client_cas=cas, clients="required" if certificate else "no"
        )
        listener = await listen_stream(factory(), "127.0.0.1", 0, tls=tls)
        self._stack.push_async_callback(listener.close, 0)
        return listener.port


@pytest.fixture
async def doors(region: RegionPlace) -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        yield Doors(region, stack)


@pytest.fixture
async def place(region: RegionPlace, doors: Doors, tmp_path: Path) -> AsyncIterator[CorePlace]:
    identity = await region.core_identity()
    await region.role_alias()
    made = CorePlace(tmp_path / "core", 0, identity, region.authority.certificate_pem)
    made.upstream = Upstream(
        "127.0.0.1",
        await doors.mqtt(),
        made.tls,
        "localhost",
        await doors.https(lambda request: request.raw_path.startswith(DATA), certificate=True),
        await doors.https(lambda request: request.raw_path.startswith(PROVIDER), certificate=True),
        await doors.https(lambda request: "x-amz-security-token" in request.headers, certificate=False),
    )
    await made.start()
    yield made
    await made.stop()


MODEL = b"weights of a model"
OWN = "774pP05xtua=/model"  # as Greengrass names what it keeps itself


async def keeps_itself(doors: Doors) -> None:
    """From now on: recipes have no objects of S3, but artifacts of Greengrass's own."""

    async def handle(request: Request) -> Response:
        known = request.target == "/kept/model?X-Amz-Signature=7" and "authorization" not in request.headers
        return Response(200, body=MODEL) if known else Response(403)

    service = HttpService(handle)
    doors._stack.push_async_callback(service.close, 0)
    doors.kept = f"https://localhost:{await doors._listen(lambda: service.connection, certificate=False)}/kept/model"


async def create(region: RegionPlace, version: str) -> None:
    """A component with an object of S3, that says what it sees."""
    artifacts = [{"URI": "s3://parts/deep/model", "Digest": digest(MODEL), "Algorithm": "SHA-256"}]
    run = f"cp {{artifacts:path}}/model model; echo {version} > version; env > environment; {IDLE}"
    made = recipe("a", version, artifacts=artifacts, run=run)
    await region.call("greengrassv2", "create_component_version", inlineRecipe=json.dumps(made).encode())


async def test_what_aws_deploys_runs_and_is_told_by_aws_s_protocols_alone(
    region: RegionPlace, place: CorePlace, doors: Doors
) -> None:
    await bucket(region)
    await region.call("s3", "put_object", Bucket="parts", Key="deep/model", Body=MODEL)
    for version in ("1.0.0", "2.0.0"):
        await create(region, version)

    merge = json.dumps({"synchronize": {"coreThing": {"classic": True}}})
    shadows = {"componentVersion": "2.3.9", "configurationUpdate": {"merge": merge}}
    public = {shadowmanager.NAME.replace(".", "__"): shadows, NAME.replace(".", "__"): {"componentVersion": "2.0.3"}}
    deployed = await region.deploy(a={"componentVersion": "1.0.0"}, **public)  # by the named shadow
    assert await region.outcome(deployed) == "SUCCEEDED"
    work = place.folder / "components/work/a"
    await until(lambda: (work / "environment").exists() and (work / "version").read_text() == "1.0.0\n")
    assert (work / "model").read_bytes() == MODEL
    environment = dict(line.split("=", 1) for line in (work / "environment").read_text().splitlines() if "=" in line)
    assert environment[URI].startswith("http://127.0.0.1:") and ENDPOINT not in environment
    assert {"GET /parts/deep/model", f"GET {PROVIDER}GreengrassV2TokenExchangeRoleAlias/credentials"} <= {*doors.asked}

    state = json.dumps({"state": {"desired": {"dose": 3}}})
    await region.call("iot-data", "update_thing_shadow", thingName=CORE, payload=state)

    async def here() -> bool:
        found = await place.shadows.get(CORE, "")
        return bool(found) and found["state"].get("desired") == {"dose": 3}

    await until(here)

    assert await region.outcome(await region.deploy(**public)) == "SUCCEEDED"  # the group's is to bring it alone
    await group(region, "ward", CORE)
    await keeps_itself(doors)
    made = await region.call(
        "greengrassv2",
        "create_deployment",
        targetArn=group_arn("ward"),
        components={"a": {"componentVersion": "2.0.0"}},
    )
    found = await group_outcome(region, made["deploymentId"])
    assert found["coreDeviceExecutionStatus"] == "SUCCEEDED", found["reason"]
    await until(lambda: (work / "version").read_text() == "2.0.0\n")
    assert (work / "model").read_bytes() == MODEL
    assert any("/artifacts/774pP05xtua" in each for each in doors.asked)
    assert await region.outcome(await region.deploy(**public)) == "SUCCEEDED"  # beside what the group brought
    assert f"GET /greengrass/v2/coreDevices/{CORE}/thingGroups" in doors.asked

    async def told() -> bool:
        found = await region.call("greengrassv2", "list_installed_components", coreDeviceThingName=CORE)
        versions = {each["componentName"]: each["componentVersion"] for each in found["installedComponents"]}
        return versions.get("a") == "2.0.0"

    await until(told)  # by MQTT
    assert doors.strange == []


def test_aws_s_own_addresses_follow_from_its_endpoint() -> None:
    host = "a1b2c3-ats.iot.eu-central-1.amazonaws.com"
    provider = "https://c1.credentials.iot.eu-central-1.amazonaws.com"
    made = _apart(Settings(kind="core", credentials_endpoint=provider, region="eu-central-1"), host)
    assert made == (f"https://{host}:8443", provider, "https://{service}.eu-central-1.amazonaws.com")
    above = Upstream(host, 8883, None, host, *made)
    assert above.api("s3").url == "https://s3.eu-central-1.amazonaws.com" and above.apart
    assert _apart(Settings(kind="core"), "region.example") == ("", "", "")
    wrongs: tuple[dict[str, Any], ...]
    wrongs = ({"data_endpoint": "http://x"}, {"api_endpoint": "https://{other}.x"}, {"api_endpoint": "x"})
    wrongs += ({"api_endpoint": "https://{service"}, {"api_endpoint": "https://{}.x"}, {"api_endpoint": "https://[x"})
    for wrong in wrongs:
        with pytest.raises(Misconfigured):
            _apart(Settings(kind="core", **wrong), "region.example")
    with pytest.raises(Misconfigured, match="eu-central-1"):
        _apart(Settings(kind="core"), host)
