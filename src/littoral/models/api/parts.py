"""What the operations share: names in ARNs, pages of lists, where a model's bytes are, the errors of the service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Protocol, TypeVar

from littoral.aws.service import ServiceError, modelled
from littoral.models.registry.refusal import RegistryError

PAGE: Final = 10
ORDERS: Final[Mapping[str, str]] = {"Name": "name", "CreationTime": "created"}  # SortBy


class Named(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def created(self) -> float: ...


Item = TypeVar("Item", bound=Named)


class Buckets(Protocol):
    """The place's objects."""

    async def read(self, bucket: str, key: str, most: int) -> bytes:
        """Raises ServiceError as GetObject does, and where there are more than ``most`` bytes."""


@dataclass(frozen=True, slots=True)
class Here:
    """Where this is, for ARNs."""

    region: str
    account: str

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name}"

    def name(self, kind: str, given: str) -> str:
        """Of a name or an ARN. Raises ValidationException for another kind's or place's."""
        if not given.startswith("arn:"):
            return given
        before = self.arn(kind, "")
        if not given.startswith(before):
            raise invalid(f"{given} is no {kind} of this region and account.")
        return given.removeprefix(before)


invalid = modelled("ValidationException")


@contextmanager
def worded() -> Iterator[None]:
    """What the registry refuses, in the service's words."""
    try:
        yield
    except RegistryError as problem:
        raise invalid(str(problem)) from problem


def bucket_and_key(url: str) -> tuple[str, str]:
    """Of ``s3://bucket/key``. Raises ValidationException."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key or key.endswith("/"):
        raise invalid(f"ModelDataUrl {url}: here it is an object of this place, as s3://bucket/model.onnx.")
    return bucket, key


def only(given: Mapping[str, Any], honoured: Iterable[str], where: str) -> None:
    """Raises NotImplemented where a nested member says what is not done here."""
    more = sorted(key for key, value in given.items() if key not in honoured and value not in (None, "", [], {}, False))
    if more:
        raise ServiceError("NotImplemented", f"{where}: the field {more[0]} is not implemented here.", status=501)


@dataclass(frozen=True, slots=True)
class Asked:
    """What every List operation of the service takes."""

    most: int = PAGE
    token: str = ""
    named: str = ""
    after: float | None = None
    before: float | None = None
    by: str = "CreationTime"
    order: str = "Ascending"


def page(found: Iterable[Item], asked: Asked, orders: Mapping[str, str] = ORDERS) -> tuple[list[Item], dict[str, str]]:
    """The items asked for, and ``NextToken`` where there are more. ``orders``: by which attributes they can be sorted,
    by the names that SortBy has for them. Raises ValidationException for another order or token."""
    if asked.by not in orders or asked.order not in {"Ascending", "Descending"}:
        raise invalid(f"SortBy {asked.by} {asked.order} is not known.")
    kept = [
        each
        for each in found
        if asked.named.lower() in each.name.lower()
        and (asked.after is None or each.created > asked.after)
        and (asked.before is None or each.created < asked.before)
    ]
    kept.sort(key=attrgetter(orders[asked.by]), reverse=asked.order == "Descending")
    if asked.token and not (asked.token.isascii() and asked.token.isdigit()):
        raise invalid("NextToken is not one that was given.")
    start = int(asked.token or 0)
    more = {"NextToken": str(start + asked.most)} if start + asked.most < len(kept) else {}
    return kept[start : start + asked.most], more


def tags_of(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Raises ValidationException."""
    found = {each["Key"]: each["Value"] for each in tags}
    if len(found) != len(tags):
        raise invalid("A tag key is given twice.")
    if any(key.lower().startswith("aws:") for key in found):
        raise invalid("Tag keys that begin with aws: are reserved.")
    return found
