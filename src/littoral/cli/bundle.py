"""``littoral core bundle`` and ``littoral worker bundle``: in the region, all that a new core needs, or a machine that
is to offer hosts for training, in one file for it.

Makes through the place's own AWS APIs: the thing, a certificate, a policy, and, where asked, the membership of a thing
group that is deployed to. The file holds the private key: mode 0600; ``littoral core install`` removes it.

The region may be AWS's (``AWS_ENDPOINT_URL=https://iot.REGION.amazonaws.com``): then the core trusts the device's own
CAs and learns where the credentials provider is.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from littoral.cli.asking import Failed, address
from littoral.cli.credentials import CREDENTIALS_FILE
from littoral.cli.folders import can_be_filled
from littoral.site.settings import NAME, Loaded, read_credentials
from littoral.store.durable import make_folder, write_durably

FORM: Final = "littoral-core-bundle/1"
ELSEWHERE: Final = "AWS_ENDPOINT_URL"  # a region that is not on this machine, with the keys that AWS's tools find
# What a shadow manager wants besides AWS's own policy of a core, which lets it do that to every shadow by topics.
SHADOWS: Final = ("iot:GetThingShadow", "iot:UpdateThingShadow", "iot:DeleteThingShadow")


@dataclass(frozen=True, slots=True)
class Kind:
    """Of what has a bundle."""

    noun: str
    form: str
    policy: str  # its name
    allowed: tuple[str, ...]
    credentials: bool  # whether it may ask for temporary ones
    use: str
    next: str  # what to type on the other machine, behind which comes the file


CORE: Final = Kind(
    "core",
    FORM,
    "littoral-core",
    # What AWS's own policy of a core allows ("Minimal AWS IoT policy for AWS IoT Greengrass core devices").
    ("iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive", "greengrass:*", *SHADOWS),
    True,
    "to be used once",
    "on the device:  littoral core install --bundle",
)


def run(
    loaded: Loaded, name: str, *, group: str | None, endpoint: str | None, out: Path | None, kind: Kind = CORE
) -> int:
    """Raises Failed."""
    file = out or Path(f"{name}.bundle")
    if file.exists():
        raise Failed(f"{file} is there already: give it to the device, or remove it")
    try:
        NAME.read(name)
    except ValueError as problem:
        raise Failed(f"a {kind.noun}'s name {problem}") from None
    can_be_filled(file.parent)
    make_folder(file.parent)
    elsewhere = os.environ.get(ELSEWHERE) if loaded.sources["data_dir"] == "default" else None
    where = elsewhere or address(loaded)
    _say(f"asking {where}")
    iot = _client(where, loaded)
    upstream = endpoint or f"mqtts://{_endpoint(iot, 'iot:Data-ATS')}"
    if urlsplit(upstream).scheme != "mqtts" or not urlsplit(upstream).hostname:
        raise Failed(f"--endpoint {upstream} is no address such as mqtts://region.example:8883")
    from littoral.site.upstream import AWS

    of_aws = AWS.fullmatch(urlsplit(upstream).hostname or "") is not None
    provider = f"https://{_endpoint(iot, 'iot:CredentialProvider')}" if of_aws else None
    _say(f"making the thing {name}, its certificate and its policy there")
    made = make(iot, name, group, loaded.settings.role_alias, kind)
    _, _, _, region, account, *_ = made["certificateArn"].split(":")  # as the place above has them
    bundle = {
        "form": kind.form,
        "name": name,
        "upstream": upstream,
        "region": region,
        "account": account,
        "certificatePem": made["certificatePem"],
        "privateKey": made["keyPair"]["PrivateKey"],
        "ca": None if of_aws else _told(where, "ca.pem"),
        "credentialsEndpoint": provider,
        "modelsKey": None if of_aws else _told(where, "models.key"),
    }
    try:
        write_durably(file, json.dumps(bundle).encode())
    except OSError as problem:
        _take_back(iot, made)
        raise Failed(f"{file} cannot be written: {problem}") from None
    print(f"{file}: {name} with a certificate of its own, {kind.use}, by whoever holds it")
    if urlsplit(upstream).hostname in ("127.0.0.1", "localhost", "::1"):
        print(f"its way up is {upstream}, which is this machine: for another device name the region with --endpoint")
    print(f"{kind.next} {file.name}")
    return 0


def _say(step: str) -> None:
    """What takes its time on a busy machine is not silent."""
    print(f"littoral: {step}", file=sys.stderr, flush=True)


def _endpoint(iot: Any, kind: str) -> str:
    """Where that is, as the region knows it. Raises Failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return str(iot.describe_endpoint(endpointType=kind)["endpointAddress"])
    except (ClientError, BotoCoreError) as problem:
        raise Failed(str(problem)) from None


def make(iot: Any, name: str, group: str | None, role_alias: str, kind: Kind = CORE) -> Any:
    """The thing and an active certificate of it; that one goes again where a later step fails. Raises Failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with contextlib.suppress(iot.exceptions.ResourceAlreadyExistsException):
            aliases = f"arn:aws:iot:*:*:rolealias/{role_alias}"
            statements: list[dict[str, Any]] = [{"Effect": "Allow", "Action": list(kind.allowed), "Resource": "*"}]
            if kind.credentials:
                statements.append({"Effect": "Allow", "Action": "iot:AssumeRoleWithCertificate", "Resource": aliases})
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iot.create_policy(policyName=kind.policy, policyDocument=document)
        if group is not None:
            iot.describe_thing_group(thingGroupName=group)  # before there is a thing that is not to be in it
        iot.create_thing(thingName=name)
        if group is not None:
            iot.add_thing_to_thing_group(thingName=name, thingGroupName=group)
        made = iot.create_keys_and_certificate(setAsActive=True)
        try:
            iot.attach_policy(policyName=kind.policy, target=made["certificateArn"])
            iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
        except BaseException:
            _take_back(iot, made)
            raise
    except (ClientError, BotoCoreError) as problem:
        raise Failed(str(problem)) from None
    return made


def _take_back(iot: Any, made: Any) -> None:
    """The certificate that nobody got."""
    iot.update_certificate(certificateId=made["certificateId"], newStatus="INACTIVE")
    for thing in iot.list_principal_things(principal=made["certificateArn"])["things"]:
        iot.detach_thing_principal(thingName=thing, principal=made["certificateArn"])
    iot.delete_certificate(certificateId=made["certificateId"], forceDelete=True)


def _client(where: str, loaded: Loaded) -> Any:
    from botocore.session import Session

    options: dict[str, str] = {}
    if where != os.environ.get(ELSEWHERE):
        access, secret = read_credentials(loaded.settings.data_dir / CREDENTIALS_FILE)
        options = {"aws_access_key_id": access, "aws_secret_access_key": secret}
    return Session().create_client("iot", region_name=loaded.settings.region, endpoint_url=where, **options)


def _told(url: str, what: str) -> str:
    """What the region tells whoever asks. Raises Failed."""
    try:
        with urllib.request.urlopen(f"{url}/_littoral/{what}", timeout=30) as answer:
            return str(answer.read().decode())
    except OSError as problem:
        raise Failed(f"{url} does not answer: {problem}") from None
