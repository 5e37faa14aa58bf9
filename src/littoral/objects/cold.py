"""Storage classes: which there are, and those of archives, which nobody reads before they are restored. Pure.

A class is kept and told; the bytes lie where all others do. So a restoration takes no time here: what was asked for
can be read at once, until its days are over. ("Restoring an archived object" of the S3 user guide)
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from littoral.objects.days import midnight
from littoral.objects.errors import error, malformed, not_implemented
from littoral.objects.facts import PLAIN_CLASS, Facts

WARM = frozenset(("REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"))
ARCHIVES = frozenset(("GLACIER", "DEEP_ARCHIVE"))
SELECTING = ("Type", "SelectParameters", "OutputLocation")
LONGEST = 36_500  # days


def kept_class(storage_class: str | None) -> dict[str, str]:
    """The storage class beside an object's headers. The plain one needs no word. Raises InvalidStorageClass."""
    if storage_class in (None, PLAIN_CLASS):
        return {}
    if storage_class not in WARM | ARCHIVES:
        raise error("InvalidStorageClass", "The storage class you specified is not valid", StorageClass=storage_class)
    return {"StorageClass": storage_class}


def is_readable(facts: Facts, now: float) -> bool:
    return facts.storage_class not in ARCHIVES or (facts.restored or 0.0) > now


def check_readable(facts: Facts, now: float) -> None:
    """Raises InvalidObjectState."""
    if not is_readable(facts, now):
        message = "The operation is not valid for the object's storage class"
        raise error("InvalidObjectState", message, StorageClass=facts.storage_class)


def until(facts: Facts, request: Mapping[str, Any], now: float) -> float:
    """Until when an object is restored that this is asked for. Raises InvalidObjectState, MalformedXML,
    NotImplemented."""
    if any(name in request for name in SELECTING):
        raise not_implemented("S3 Select is retired: objects are restored, and not selected from", "RestoreRequest")
    if facts.storage_class not in ARCHIVES:
        message = "Restore is not allowed for the object's current storage class"
        raise error("InvalidObjectState", message, StorageClass=facts.storage_class)
    days = request.get("Days")
    if days is None or not 1 <= days <= LONGEST:
        raise malformed()
    return midnight(now, days)


def told(facts: Facts, now: float) -> dict[str, Any]:
    """Of a restored object, for answers about it."""
    if facts.restored is None or facts.restored <= now:
        return {}
    return {"Restore": f'ongoing-request="false", expiry-date="{formatdate(facts.restored, usegmt=True)}"'}


def told_in_lists(facts: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The same of ``facts`` as they are kept."""
    restored = facts.get("restored")
    if restored is None or restored <= now:
        return {}
    return {"RestoreStatus": {"IsRestoreInProgress": False, "RestoreExpiryDate": restored}}
