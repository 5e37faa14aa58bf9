"""What a capability writes to speak an AWS API: a class of plain methods, one per operation.

The method is the operation's name in snake case and takes a ``Call`` and, by keyword, the members of the
operation's input in snake case (botocore's ``xform_name``). It returns a dict shaped as the model's output, in
the model's own names, just as boto3 would hand it to a caller::

    class S3:
        @operation(harmless={"RequestPayer"})
        async def create_bucket(self, call: Call, *, bucket: str, acl: str | None = None) -> Output:
            ...
            return {"Location": f"/{bucket}"}

**The signature is the statement of what is honoured.** An input member that the caller sends and the signature does
not name is refused with ``NotImplemented`` unless ``harmless`` lists it (its absence cannot change the outcome); one
that the model does not have, at the top or within, is refused by the wire. Members with a default need not be sent. A
parameter with no default that the model calls optional is an error at start-up (``registry.check``). A streaming
input member arrives as a ``littoral.net.message.Body``; a streaming output member may be bytes, a FileSlice or an
async iterator of bytes; an event stream is an async iterator of (event name, its members). Where an iterator has an
``aclose``, it is called in the end, also when nobody iterated.

An API may have some methods more: ``admit(call, given)`` decides by the principal, whoever it is, before an operation;
``preflight(request, path)`` and ``share(request, path, response)`` say what pages of other origins may do, and
``post_object(request, path, admitted)`` and ``website(call, bucket, path)`` take what browsers send (``browsing``).
They raise ServiceError. ``document_checksums(request)`` says which digests a document was sent with
(``bodies.with_digests``). ``answered(asked, response)`` is told of every answer, for its log.

``{"ResponseMetadata": {"HTTPStatusCode": 206, "HTTPHeaders": {...}}}`` in the result overrides the status and
adds headers; ``HTTPBody`` is a body that the model does not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from littoral.net.message import Request

Output = dict[str, Any]
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: an access key's owner, or a device by its certificate or by an authorizer, or nobody (anonymous)."""

    kind: Literal["key", "certificate", "authorizer", "anonymous"]
    name: str  # access key id, or certificate id (hex SHA-256 of its DER form, as AWS IoT does), or ""
    arn: str = ""
    limited: bool = False  # a key that may do only what the policy of a resource grants it
    admission: object = None  # what its authorizer said, for the capability whose authorizer that is

    @property
    def account(self) -> str:
        """Twelve digits; "" for who has no ARN."""
        return self.arn.split(":", 5)[4] if self.arn else ""


class Signing(NamedTuple):
    """How a request says that it is signed: by version 2 or 4, in its query, in a form's fields or by a header
    field."""

    second: bool = False
    of_query: bool = False
    of_form: bool = False


BY_HEADER = Signing()


@dataclass(slots=True)
class Call:
    """One API call, as the operation's method sees it."""

    service: str  # botocore's name: "s3", "lambda", "iot-data"
    operation: str  # "PutObject"
    region: str
    account: str
    principal: Principal
    request_id: str
    request: Request
    now: float  # Unix seconds at which the request was received
    signing: Signing = BY_HEADER
    trailers: dict[str, str] = field(default_factory=dict)  # filled once a streamed body has been read
    admitted: list[Any] = field(default_factory=list)  # what the API's ``admit`` wants to know again

    @property
    def base_url(self) -> str:
        """How the caller reached us, to build links it can follow: ``http://127.0.0.1:4566``."""
        scheme = "https" if self.request.peer.tls else "http"
        return f"{scheme}://{self.request.host}"


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was answered, for an API that has ``answered``."""

    request: Request
    principal: Principal | None  # None where it was refused before anybody knew
    request_id: str
    error: str  # the code; "" where there was none
    took: float  # seconds
    now: float


class Later(Generic[T]):
    """What an operation that waits for one future only may return instead of a coroutine; for those that are called so
    often that a task for each counts. ``shape`` makes the output of the future's result; its values are bytes or
    short: nothing is streamed."""

    __slots__ = ("_shape", "future")

    def __init__(self, future: asyncio.Future[T], shape: Callable[[T], Output]) -> None:
        self.future = future
        self._shape = shape

    def output(self) -> Output:
        """Once the future is done. Raises what the operation raises."""
        return self._shape(self.future.result())

    def __await__(self) -> Generator[Any, None, Output]:
        yield from self.future
        return self.output()


class ServiceError(Exception):
    """An AWS error. The wire renders it in the protocol of the call.

    ``code`` is the modelled error's name or code ("ResourceNotFoundException", "NoSuchBucket"); ``status`` is
    taken from the model where it says one, else from here. ``fields`` are further members of the error's body.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int | None = None,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})


def modelled(code: str, status: int = 400, **fields: Any) -> Callable[[str], ServiceError]:
    """What makes a service's error of that name of a message."""

    def error(message: str) -> ServiceError:
        return ServiceError(code, message, status=status, fields=fields)

    return error


@dataclass(frozen=True, slots=True)
class Honours:
    """What an operation declares beside its signature."""

    harmless: frozenset[str] = frozenset()  # members taken and ignored; ignoring them changes no outcome
    notes: str = ""  # one line for `littoral coverage`: what is left out inside nested members


def operation(*, harmless: set[str] | None = None, notes: str = "") -> Callable[[F], F]:
    """Mark a method as an AWS operation. Unmarked methods are never reachable from the wire."""

    def mark(method: F) -> F:
        method.__littoral_operation__ = Honours(frozenset(harmless or ()), notes)  # type: ignore[attr-defined]
        return method

    return mark
