"""What every action of a rule has in common: where it ends, how it fails, how its parameters are read.

Owns: the destinations as they are handed in (``Sinks``), telling a failure that may pass from one that will not, and
substitution templates in parameters. Each kind of action has a file of its own beside this one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from littoral.aws.invoke import Invoker
from littoral.aws.service import ServiceError
from littoral.protocols.iotsql import Context, Selected, Template, compile_template
from littoral.protocols.iotsql.syntax import Definition
from littoral.things.message import Publication
from littoral.things.rules.items import Item
from littoral.things.rules.metricdata import MetricData


class ObjectSink(Protocol):
    """Where the s3 action writes. Durable on return. Raises ServiceError (NoSuchBucket, …)."""

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> None: ...


class RecordSink(Protocol):
    """The data streams of the place, by name. Durable on return. Raises ServiceError, StoreError."""

    async def put(self, stream: str, data: bytes, key: str) -> None: ...


class LogSink(Protocol):
    """Log groups. Durable on return. Raises ServiceError where the group is not there, StoreError."""

    async def put(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """``events``: (milliseconds since 1970, message)."""

    async def ensure(self, group: str) -> None:
        """Make the group where it is not there. Raises StoreError."""


class TableSink(Protocol):
    """Tables by name; items as DynamoDB's attribute values. All raise ServiceError, StoreError."""

    async def put(self, table: str, item: Item) -> None:
        """Durable on return."""

    async def change(self, table: str, key: Item, columns: Item | None) -> None:
        """Set these columns, or, without any, delete the item. Durable on return."""

    async def get(self, table: str, key: Item) -> Item | None: ...


class WebSink(Protocol):
    """Endpoints beyond the place that were confirmed."""

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes, sigv4: SigV4 | None) -> int:
        """The status of the answer. Raises ServiceError where no enabled destination covers the URL, and ValueError
        and the client's errors."""


@dataclass(frozen=True, slots=True)
class SigV4:
    region: str
    service: str


Permits = Callable[[str, str], bool]
"""Whether a function's resource policy lets the rule of that name invoke it. Raises ResourceNotFoundException."""


class Note(Protocol):
    """Tells AWS IoT's log. ``about`` makes further attributes, where somebody wants the entry."""

    def __call__(
        self, level: str, event: str, rule: str, context: Context, about: Callable[[], Mapping[str, Any]] = dict
    ) -> None: ...


def _unheard(
    level: str, event: str, rule: str, context: Context, about: Callable[[], Mapping[str, Any]] = dict
) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Sinks:
    """``publish`` returns when the message is durable where that matters; it raises ValueError for a bad topic. What
    is None is not at this place: an action that wants it fails to its rule's error action."""

    publish: Callable[[Publication], Awaitable[None]]
    invoker: Invoker | None = None
    objects: ObjectSink | None = None
    permits: Permits | None = None  # without it, every rule may invoke every function
    streams: RecordSink | None = None
    logs: LogSink | None = None
    web: WebSink | None = None
    tables: TableSink | None = None
    metrics: MetricData = field(default_factory=MetricData)
    answers: Mapping[str, Callable[..., Awaitable[Any]]] = field(default_factory=dict)  # of external functions
    note: Note = _unheard


class ActionFailed(Exception):
    """``passing``: trying again may help."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class BadAction(ValueError):
    """The definition of an action is not valid, or asks for what would not be honoured."""


class Action(Protocol):
    @property
    def kind(self) -> str:
        """As errorAction's payload names it: "S3Action"."""

    def resource(self, context: Context) -> str:
        """What it acts on, for error reports."""

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        """``rule``: the name of the rule on whose behalf. Raises ActionFailed."""


_PASSING_CODES: Final = {"TooManyRequestsException", "ThrottlingException", "SlowDown", "Throttling", "RequestTimeout"}


def failed(error: Exception) -> ActionFailed:
    """AWS tries again what is the service's fault or a throttle, and gives up on what the rule got wrong."""
    if isinstance(error, ActionFailed):
        return error
    if isinstance(error, ServiceError):
        theirs = error.status is not None and error.status >= 500
        return ActionFailed(str(error), passing=theirs or error.code in _PASSING_CODES)
    return ActionFailed(f"{type(error).__name__}: {error}", passing=not isinstance(error, ValueError))


class Parameters:
    """What the author gave one action: checked against what is known of it, its templates compiled."""

    def __init__(self, kind: str, given: Mapping[str, Any], variables: Mapping[str, Definition]) -> None:
        self.kind = kind
        self.given = given
        self._variables = variables

    def check(self, required: set[str], optional: Collection[str] = ()) -> None:
        """Raises BadAction. ``roleArn`` must be there, as in AWS, and is not assumed: there are no roles here."""
        unknown, missing = sorted(set(self.given) - required - set(optional)), sorted(required - set(self.given))
        if unknown:
            raise BadAction(f"{self.kind}.{unknown[0]} is not honoured here")
        if missing:
            raise BadAction(f"{self.kind}.{missing[0]} is missing")

    def template(self, name: str) -> Template:
        """Raises SqlError."""
        return self.compiled(self.given[name])

    def maybe(self, name: str) -> Template | None:
        return self.template(name) if name in self.given else None

    def compiled(self, text: str) -> Template:
        return compile_template(text, self._variables)

    def within(self, name: str) -> Parameters:
        """Those of a nested structure; none where it was left out."""
        return Parameters(f"{self.kind}.{name}", self.given.get(name) or {}, self._variables)
