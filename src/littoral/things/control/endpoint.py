"""Where devices find this place."""

from __future__ import annotations

from collections.abc import Callable

from littoral.aws.service import Call, Output, operation
from littoral.things.control.errors import invalid

_TYPES = ("iot:Data", "iot:Data-ATS", "iot:Jobs", "iot:CredentialProvider")


class Endpoints:
    """``endpoint`` gives "host:port" of the device port, which may be known only once the listener runs."""

    def __init__(self, endpoint: Callable[[], str]) -> None:
        self.endpoint = endpoint

    @operation(notes="the address carries the port: one device port serves MQTT, HTTPS, jobs and credentials")
    async def describe_endpoint(self, call: Call, *, endpoint_type: str = "iot:Data") -> Output:
        if endpoint_type not in _TYPES:
            raise invalid(f"Endpoint type {endpoint_type!r} is not available here; there are {', '.join(_TYPES)}")
        return {"endpointAddress": self.endpoint()}
