"""The credentials provider: a device's certificate for temporary credentials, ``GET /role-aliases/ALIAS/credentials``.

The certificate's policies must allow ``iot:AssumeRoleWithCertificate`` on the alias. With the header
``x-amzn-iot-thingname`` the thing's variables have values there; the certificate must be attached to that thing.
https://docs.aws.amazon.com/iot/latest/developerguide/authorizing-direct-aws.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from littoral.aws.sessions import Credentials
from littoral.net.message import Request, Response, json_response
from littoral.net.pki import certificate_id
from littoral.things.permissions import Caller, Permissions
from littoral.things.refusals import Refusals
from littoral.things.registry import Registry

ACTION: Final = "iot:AssumeRoleWithCertificate"
PREFIX: Final = "/role-aliases/"
_PATH: Final = re.compile(r"/role-aliases/(?P<alias>[\w=,@-]{1,128})/credentials", re.ASCII)

Issue = Callable[[str, str, int], Credentials]
"""Credentials of a role's ARN, for a session of that name, for so many seconds."""


class CredentialsProvider:
    def __init__(self, registry: Registry, permissions: Permissions, refusals: Refusals, issue: Issue) -> None:
        self._registry = registry
        self._permissions = permissions
        self._refusals = refusals
        self._issue = issue

    def handle(self, request: Request) -> Response:
        """For the device port, whose peers have shown a certificate."""
        match = _PATH.fullmatch(request.raw_path)
        if match is None or request.method != "GET":
            return json_response(404, {"message": "There are only GET /role-aliases/ALIAS/credentials here"})
        certificate = certificate_id(request.peer.certificate or b"")
        thing = request.headers.get("x-amzn-iot-thingname")
        if thing is not None and (certificate, thing) not in self._registry.principals:
            return json_response(403, {"message": "Invalid thing name passed"})
        caller = Caller(certificate, thing, request.peer.host)
        alias = self._registry.role_aliases.get(match["alias"])
        if not self._permissions.allows(caller, ACTION, "rolealias", match["alias"]):
            self._refusals.note(caller, ACTION, "rolealias", match["alias"])
            return json_response(403, {"message": "Access Denied"})
        if alias is None:
            return json_response(404, {"message": "Role alias does not exist"})
        made = self._issue(alias.role, certificate, alias.seconds)
        credentials = {
            "accessKeyId": made.access_key,
            "secretAccessKey": made.secret,
            "sessionToken": made.token,
            "expiration": made.expiration,
        }
        return json_response(200, {"credentials": credentials})
