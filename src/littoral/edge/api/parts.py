"""What the operations share: the state, ETags, pages, copies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from littoral.aws.service import Output, ServiceError, modelled
from littoral.edge.control import Control
from littoral.edge.policies import MANAGED_CACHE, MANAGED_ORIGIN_REQUEST, MANAGED_RESPONSE_HEADERS
from littoral.store.documents import Document


class FunctionLookup(Protocol):
    """The functions of this place, as far as triggers need them."""

    def describe(self, arn: str) -> Mapping[str, Any] | None:
        """The FunctionConfiguration of a numbered version; None where there is none."""


class Objects(Protocol):
    """Where objects are: the site hands it in."""

    async def read(self, bucket: str, key: str) -> bytes:
        """Raises ServiceError."""

    async def has(self, bucket: str) -> bool: ...


class Certificates(Protocol):
    """The certificates of ACM."""

    def missing(self, arn: str, aliases: Sequence[str]) -> list[str] | None:
        """The names that a certificate does not cover; None where there is no such certificate that is valid."""


class Operations:
    """Base of each noun's operations. ``functions`` None means that triggers are not checked against the functions of
    this place."""

    certificates: Certificates | None = None  # of this place: without them no distribution can name one
    objects: Objects | None = None  # of this place: None means that they are not looked at

    def __init__(self, control: Control, *, account: str, functions: FunctionLookup | None = None) -> None:
        self._control = control
        self._account = account
        self._functions = functions

    def _found(self, identifier: str) -> Document:
        document = self._control.get("distribution", identifier)
        if document is None:
            raise ServiceError("NoSuchDistribution", "The specified distribution does not exist.", status=404)
        return document


KEPT = (
    "cache-policy",
    "continuous-deployment-policy",
    "origin-request-policy",
    "response-headers-policy",
    "access-control",
    "key-group",
    "public-key",
    "realtime-log-config",
    "trust-store",
)


def documents_of(control: Control) -> dict[str, Document]:
    """Every policy and access control that a plan may refer to, by id."""
    found: dict[str, Document] = {**MANAGED_CACHE, **MANAGED_ORIGIN_REQUEST, **MANAGED_RESPONSE_HEADERS}
    for kind in KEPT:
        found |= {key: document["config"] for key, document in control.all(kind).items()}
    return found


invalid = modelled("InvalidArgument")


def match_etag(document: Document, given: str | None) -> None:
    if not given:
        message = "The If-Match version is missing or not valid for the resource."
        raise ServiceError("InvalidIfMatchVersion", message, status=400)
    if given != document["etag"]:
        message = "The request failed because it didn't meet the preconditions in one or more request-header fields."
        raise ServiceError("PreconditionFailed", message, status=412)


def plain(config: Mapping[str, Any]) -> Document:
    """A deep copy that JSON can hold."""
    copied: Document = json.loads(json.dumps(config))
    return copied


def page_of(
    found: Mapping[str, Document], marker: str | None, max_items: str | None
) -> tuple[list[Document], str | None]:
    """The documents of one page in key order, and the marker of the next. Raises InvalidArgument."""
    count = 100 if max_items is None else int(max_items) if max_items.isdecimal() else 0
    if count < 1:
        raise invalid("MaxItems must be a number from 1.")
    keys = [key for key in sorted(found) if not marker or key > marker]
    following = keys[count - 1] if len(keys) > count else None
    return [found[key] for key in keys[:count]], following


def listing(listed: list[Output], marker: str | None, max_items: str | None, following: str | None) -> Output:
    page: Output = {
        "Marker": marker or "",
        "MaxItems": 100 if max_items is None else int(max_items),
        "IsTruncated": following is not None,
        "Quantity": len(listed),
    }
    if listed:
        page["Items"] = listed
    if following is not None:
        page["NextMarker"] = following
    return page


def check_quantities(document: Any) -> None:
    """Each list's Quantity is the number of its items."""
    if isinstance(document, list):
        for item in document:
            check_quantities(item)
    elif isinstance(document, dict):
        listed = document.get("Items")
        if "Quantity" in document and document["Quantity"] != len(listed or ()):
            message = "The value of Quantity and the number of Items don't match."
            raise ServiceError("InconsistentQuantities", message, status=400)
        for item in document.values():
            check_quantities(item)
