"""Why a request of the client got no answer."""

from __future__ import annotations


class RequestFailed(Exception):
    """No response came. The server may have acted on the request unless it is ConnectFailed."""


class ConnectFailed(RequestFailed):
    """No connection: name, address, refusal or TLS."""


class Timeout(RequestFailed):
    """The other side took longer than it was given."""


class BadResponse(RequestFailed):
    """What came is no HTTP response, or is beyond the limits."""


class Disconnected(BadResponse):
    """The connection ended before a byte of the response."""
