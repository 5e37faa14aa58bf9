"""A region and a core in one process, of real parts: TLS, broker, shadows, functions, gateway. A cable between them."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.aws.service import Call
from littoral.core.clientdevices.groups import Device
from littoral.core.clientdevices.ports import Judge, ServerCertificate
from littoral.core.exchange import ALIAS
from littoral.core.greengrass import Greengrass
from littoral.core.link import Backoff, Upstream
from littoral.core.nucleus.limits import Confine, unconfined
from littoral.core.nucleus.rooms import Bare
from littoral.core.ports import Fence
from littoral.core.runtime import Core
from littoral.core.session import Timing
from littoral.core.settings import CoreSettings
from littoral.core.source import BLOCKS
from littoral.core.spool import SpoolLimits
from littoral.functions import Functions, FunctionSettings
from littoral.models.serving.process import Limits
from littoral.net.firstbyte import FirstByte, is_http
from littoral.net.listen import HttpService, listen_http, listen_stream
from littoral.net.message import Request
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from littoral.objects import Objects
from littoral.secrets import SecretStore
from littoral.site.artifactblocks import blocks_handler
from littoral.site.capabilities.core import CoreBroker, CoreFunctions
from littoral.site.capabilities.greengrass import ComponentObjects, GroupDeployments
from littoral.site.coremodels import CoreModels
from littoral.site.registry import CORE_DEVICES, thing_groups_handler
from littoral.site.sockets import leave_sockets, shown_folder, socket_folder
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.streams import StreamStore
from littoral.things.access import OpenAccess
from littoral.things.broker import Broker
from littoral.things.broker.limits import ProfileName
from littoral.things.credentials import PREFIX as ROLE_ALIASES
from littoral.things.facade import Things
from littoral.things.message import Publication
from littoral.things.outside import Outside
from littoral.things.permissions import Caller
from littoral.things.reserved import Telemetry
from littoral.things.shadows import Shadows
from tests.functions.deploy import ROLE, zip_of
from tests.support.notebook import NOTE

ACCOUNT, REGION = "000000000000", "us-east-1"
CORE = "ward7-core"
SOURCE = (
    NOTE
    + """
import json
def handler(event, context):
    note(json.dumps([context.client_context.custom["subject"], event, os.environ.get("GREETING")]))
    if event == "fail":
        raise ValueError("asked to")
"""
)


async def until(condition: Callable[[], Awaitable[Any] | Any], seconds: float = 20.0) -> Any:
    """What ``condition`` gives once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, "that did not come to pass"
        await asyncio.sleep(0.01)


@cache
def client_of(service: str, port: int, key: str, secret: str) -> Any:
    import boto3  # not for the programs of tests, which start often and have a core alone
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


class Catalog:
    """The region's functions, as Greengrass sees them."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def describe(self, call: Call, lambda_arn: str) -> Mapping[str, Any]:
        found = await self._functions.api.get_function(call, function_name=lambda_arn)
        configuration: Mapping[str, Any] = found["Configuration"]
        return configuration

    async def code_url(self, call: Call, lambda_arn: str) -> str:
        return str((await self._functions.api.get_function(call, function_name=lambda_arn))["Code"]["Location"])

    async def layers(self, call: Call, lambda_arn: str) -> list[tuple[str, str]]:
        return self._functions.layers_of(lambda_arn, call.base_url)


class ShadowsOf:
    def __init__(self, things: Things) -> None:
        self._things = things

    async def update(self, thing: str, shadow_name: str, desired: Mapping[str, Any]) -> None:
        await self._things.shadows.update(thing, shadow_name, {"desired": desired})


async def _untold(thing: str, payload: bytes) -> None:
    raise AssertionError(f"{thing} told {payload!r}")


class RegionPlace:
    """``stop`` and ``start`` again keep its port and its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.load_or_create(folder / "ca", "region")
        self.device_port = 0
        self.arrived: list[tuple[str, Any]] = []
        self.telemetry: Telemetry = _untold
        self.rules: ProfileName = "aws"  # of its device port

    async def start(self) -> None:
        self.store = await EmbeddedStore.open(self.folder / "store")
        self.things = await Things.open(
            self.store,
            region=REGION,
            account=ACCOUNT,
            authority=self.authority,
            endpoint=lambda: f"127.0.0.1:{self.device_port}",
            outside=Outside(telemetry=self._told),
        )
        self.functions = await Functions.open(self.store, self.folder / "functions", settings=FunctionSettings())
        self.identity = await Identity.open(self.store.records("identity"))
        self.objects = await Objects.open(self.store, self.folder / "objects", region=REGION, account=ACCOUNT)
        self.greengrass = Greengrass(
            self.store.records("greengrass"),
            ShadowsOf(self.things),
            Catalog(self.functions),
            ComponentObjects(self.objects, self.identity.root),
            GroupDeployments(self.things),
            self._allows,
        )
        self.things.shadows.on_shadow_changed(self.greengrass.shadow_changed)
        self.things.on_fleet_status(self.greengrass.fleet_status)
        self.kinesis = (await StreamStore.open(self.store, region=REGION, account=ACCOUNT)).api
        secrets = await SecretStore.open(
            self.store.records("secrets"),
            self.store.seal(self.folder / "secrets.key"),
            region=REGION,
            account=ACCOUNT,
        )
        from littoral.site.region import assume  # which brings an edge, too

        services = {
            "iot": self.things.iot,
            "iot-data": self.things.iot_data,
            "lambda": self.functions.api,
            "greengrassv2": self.greengrass,
            "kinesis": self.kinesis,
            "logs": self.functions.logs_api,
            "s3": self.objects.api,
            "secretsmanager": secrets.api,
        }
        self.gateway = Gateway(services, self.identity, region=REGION, account=ACCOUNT, routes=self.functions.routes())
        self.gateway.device_route(
            CORE_DEVICES, thing_groups_handler(self.things, f"arn:aws:greengrass:{REGION}:{ACCOUNT}")
        )
        self.gateway.device_route(BLOCKS, blocks_handler(self.things, self.greengrass))
        self.gateway.device_route(ROLE_ALIASES, self.things.credentials(partial(assume, self.identity)).handle)
        await self.objects.start()
        await self.things.start()
        await self.greengrass.start()
        self.things.broker.tap("#", self._arrive)
        self.api = await listen_http(self.gateway.handle)
        self.http = HttpService(self._device_request)
        mqtt = self.things.broker.protocol_factory("tls", self.things.access, self.rules)
        issued = self.authority.issue_server(["127.0.0.1", "localhost"])
        tls = server_context(
            (issued.certificate, issued.private_key),
            client_cas=[self.authority.certificate_pem],
            clients="required",
        )
        self.devices = await listen_stream(
            lambda: FirstByte(lambda byte: self.http.connection if is_http(byte) else mqtt),
            host="127.0.0.1",
            port=self.device_port,
            tls=tls,
        )
        self.device_port = self.devices.port

    async def stop(self) -> None:
        await self.devices.close(0)
        await self.api.close(0)
        await self.http.close(0)
        await self.greengrass.close()
        await self.things.close()
        await self.functions.close()
        await self.objects.close()
        await self.store.close()

    def _device_request(self, request: Request) -> Any:
        for prefix, handler in self.functions.routes().items():
            if request.raw_path.startswith(prefix):
                return handler(request)
        return self.gateway.handle_device(request)

    def _allows(self, call: Call, action: str, resource: str) -> bool:
        permissions = self.things.access._permissions
        return permissions.active(call.principal.name) and permissions.allows(
            Caller(call.principal.name, None, call.request.peer.host), action, "", ""
        )

    async def _told(self, thing: str, payload: bytes) -> None:
        await self.telemetry(thing, payload)

    def _arrive(self, publication: Publication) -> None:
        if not publication.topic.startswith("$aws/"):
            self.arrived.append((publication.topic, json.loads(publication.payload)))

    async def call(self, service: str, operation: str, **members: Any) -> Any:
        """By boto3, in a thread."""
        client = client_of(service, self.api.port, self.identity.root.id, self.identity.root.secret)
        return await asyncio.to_thread(getattr(client, operation), **members)

    async def core_identity(self) -> tuple[bytes, bytes]:
        """A thing with a certificate and key that may do what a core must."""
        document = {"Version": "2012-10-17", "Statement": []}
        for action in ("iot:*", "greengrass:*"):
            document["Statement"].append({"Effect": "Allow", "Action": [action], "Resource": ["*"]})  # type: ignore[attr-defined]
        await self.call("iot", "create_policy", policyName="core", policyDocument=json.dumps(document))
        await self.call("iot", "create_thing", thingName=CORE)
        made = await self.call("iot", "create_keys_and_certificate", setAsActive=True)
        await self.call("iot", "attach_policy", policyName="core", target=made["certificateArn"])
        await self.call("iot", "attach_thing_principal", thingName=CORE, principal=made["certificateArn"])
        return made["certificatePem"].encode(), made["keyPair"]["PrivateKey"].encode()

    async def role_alias(self) -> None:
        """The one by which cores ask for credentials, and which a core's policy allows."""
        role = f"arn:aws:iam::{ACCOUNT}:role/cores"
        await self.call("iot", "create_role_alias", roleAlias=ALIAS, roleArn=role)

    async def function(self, name: str = "notes", source: str | bytes = SOURCE, **more: Any) -> str:
        """The ARN of its first version; ``source`` is that of app.py, or a zip."""
        members = {
            "Runtime": "python3.11",
            "Handler": "app.handler",
            "Code": {"ZipFile": source if isinstance(source, bytes) else zip_of(app__py=source)},
            **more,
        }
        made = await self.call("lambda", "create_function", FunctionName=name, Role=ROLE, Publish=True, **members)
        return str(made["FunctionArn"])

    async def component(self, lambda_arn: str, name: str = "ward.notes", version: str = "1.0.0", **more: Any) -> Any:
        source = {
            "lambdaArn": lambda_arn,
            "componentName": name,
            "componentVersion": version,
            "componentLambdaParameters": {"maxInstancesCount": 1, "timeoutInSeconds": 10, **more},
        }
        return await self.call("greengrassv2", "create_component_version", lambdaFunction=source)

    async def deploy(self, **components: Any) -> str:
        """Names with __ for the dots."""
        made = await self.call(
            "greengrassv2",
            "create_deployment",
            targetArn=f"arn:aws:iot:{REGION}:{ACCOUNT}:thing/{CORE}",
            components={name.replace("__", "."): each for name, each in components.items()},
        )
        return str(made["deploymentId"])

    async def effective(self) -> dict[str, Any]:
        """The last deployment of the core, as the region knows it."""
        found = await self.call("greengrassv2", "list_effective_deployments", coreDeviceThingName=CORE)
        effective: dict[str, Any] = found["effectiveDeployments"][0]
        return effective

    async def outcome(self, deployment_id: str, seconds: float = 20.0) -> str:
        async def finished() -> str:
            found = await self.effective()
            assert found["deploymentId"] == deployment_id
            status = str(found["coreDeviceExecutionStatus"])
            return f"FAILED: {found['reason']}" if status == "FAILED" else status if status == "SUCCEEDED" else ""

        return str(await until(finished, seconds))


def local_shadows(store: EmbeddedStore, broker: Broker) -> Shadows:
    """A core's own."""

    def tell(messages: Sequence[tuple[str, bytes]]) -> Awaitable[None]:
        return broker.tell(Publication(topic, payload) for topic, payload in messages).settle()

    return Shadows(Documents(store.records("things"), "shadow/"), tell, time.time)


class Clients:
    """A broker whose devices are those in ``known``: (certificate id, thing)."""

    port = 8883

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.load_or_create(folder / "clients", "core")
        self.known: set[tuple[str, str]] = set()
        self.shown: list[tuple[set[str], float | None]] = []
        self.signs: tuple[bytes, bytes] | None = None

    def device(self, certificate: str, thing: str) -> Device | None:
        return Device(thing, {}) if (certificate, thing) in self.known else None

    def active(self, certificate: str) -> bool:
        return any(certificate == each for each, _ in self.known)

    def judge_by(self, judge: Judge | None) -> None:
        """This broker is open to all."""

    def issue(self, hosts: Collection[str], lasts: float | None) -> ServerCertificate:
        made = self.authority.issue_server(["localhost", *hosts])
        parts = made.certificate.decode(), made.private_key.decode(), made.public_key.decode()
        return ServerCertificate(*parts, tuple(self.authorities()))

    def show(self, hosts: Collection[str], lasts: float | None) -> None:
        self.shown.append((set(hosts), lasts))

    def sign_by(self, authority: tuple[bytes, bytes] | None) -> None:
        self.signs = authority

    def authorities(self) -> list[str]:
        return [self.authority.certificate_pem.decode()]


class CorePlace:
    def __init__(self, folder: Path, port: int, identity: tuple[bytes, bytes], ca: bytes, name: str = CORE) -> None:
        self.folder = folder
        self.name = name
        self.identity = identity
        self.tls: ssl.SSLContext = client_context(ca=ca, pair=identity)
        self.upstream = Upstream("127.0.0.1", port, self.tls)
        self.limits = SpoolLimits()
        self.backoff = Backoff(first=0.01, cap=0.1)
        self.confine: Confine = unconfined
        self.fence: Fence = Bare
        self.models_key = ""

    async def start(self) -> None:
        self.store = await EmbeddedStore.open(self.folder / "store")
        self.sockets = socket_folder(self.folder, "components")
        shown = shown_folder(self.sockets)
        self.functions = await Functions.open(
            self.store, self.folder / "functions", settings=FunctionSettings(sockets=shown, init_seconds=60.0)
        )
        await self.functions.start()
        self.broker = Broker(access=OpenAccess(), streams=self.store.streams, records=self.store.records("broker"))
        await self.broker.start()
        settings = CoreSettings(
            self.name,
            self.upstream,
            self.folder / "components",
            self.sockets / "ipc.socket",
            shown,
            fence=self.fence,
            confine=self.confine,
            spool=self.limits,
            window=32,
            timing=Timing(ping_every=0.5, dead_after=2.0),
            backoff=self.backoff,
        )
        self.clients = Clients(self.folder)
        broker, self.shadows = CoreBroker(self.broker), local_shadows(self.store, self.broker)
        self.core = await Core.open(
            settings,
            self.store.records("core"),
            self.store.streams,
            CoreFunctions(self.functions),
            broker,
            self.shadows,
            self.clients,
            lambda: CoreModels(Limits(1 << 30, 1), key=self.models_key),
        )
        await self.core.start()

    async def stop(self) -> None:
        await self.core.close()
        await self.broker.close()
        await self.functions.close()
        await self.store.close()
        await leave_sockets(self.folder, self.sockets)

    async def publish(self, topic: str, message: Any) -> None:
        """As a device does: returns when it would be acknowledged."""
        await self.broker.publish(Publication(topic, json.dumps(message).encode(), 1))

    async def pending(self) -> int:
        return await self.core.spool.pending()
