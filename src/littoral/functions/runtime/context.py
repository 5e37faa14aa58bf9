"""The context that a Python handler is given beside its event, as Lambda's. Standard library only."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


class CognitoIdentity:
    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None

    def __repr__(self) -> str:
        pool = self.cognito_identity_pool_id
        return f"CognitoIdentity([cognito_identity_id={self.cognito_identity_id},cognito_identity_pool_id={pool}])"


class Client:
    installation_id: str | None = None
    app_title: str | None = None
    app_version_name: str | None = None
    app_version_code: str | None = None
    app_package_name: str | None = None


class ClientContext:
    """What a mobile SDK sent: ``custom``, ``env`` and ``client``; other members are not shown, as in Lambda."""

    def __init__(self, sent: dict[str, Any]) -> None:
        self.custom = sent.get("custom")
        self.env = sent.get("env")
        self.client: Client | None = None
        if "client" in sent:
            self.client = Client()
            for name in Client.__annotations__:
                setattr(self.client, name, sent["client"].get(name))


class LambdaContext:
    def __init__(
        self, function: dict[str, Any], request_id: str, arn: str, context: bytes, group: str, deadline: float
    ) -> None:
        self.aws_request_id = request_id
        self.log_group_name = group or function["log_group"]
        self.log_stream_name = function["log_stream"]
        self.function_name = function["name"]
        self.memory_limit_in_mb = str(function["memory"])
        self.function_version = function["version"]
        self.invoked_function_arn = arn
        self.tenant_id = None
        self.identity = CognitoIdentity()
        self.client_context: ClientContext | None = ClientContext(json.loads(context)) if context else None
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def log(self, message: object) -> None:
        sys.stdout.write(str(message))

    def __repr__(self) -> str:
        return f"LambdaContext([aws_request_id={self.aws_request_id},function_name={self.function_name}])"
