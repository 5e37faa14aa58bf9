"""What the operations share: entities and their lock tokens, pages, errors, documents as JSON.

An entity is a web ACL, rule group, IP set or regex pattern set. It is stored by its ARN as
``{"scope", "name", "id", "arn", "lock", "description", "document"}``; the document holds what the model's shape has
beside these, with search strings in base64, as they are on the wire.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from littoral.aws.service import Output, ServiceError
from littoral.edge.control import Control
from littoral.edge.waf.crs.groups import Groups
from littoral.edge.waf.reports import Reports
from littoral.store.documents import Document

NOUNS = {
    "webacl": "WEB_ACL",
    "rulegroup": "RULE_GROUP",
    "ipset": "IP_SET",
    "regexpatternset": "REGEX_PATTERN_SET",
}
MOST_OF_A_KIND = 100  # "AWS WAF quotas", per scope
MOST_TAGS = 50


def invalid(reason: str, field: str, parameter: str) -> ServiceError:
    """WAFInvalidParameterException."""
    shown = parameter[:200] or "-"
    return ServiceError(
        "WAFInvalidParameterException",
        f"Error reason: {reason}, field: {field}, parameter: {shown}",
        fields={"Field": field, "Parameter": shown, "Reason": reason},
    )


def nonexistent() -> ServiceError:
    message = "AWS WAF couldn’t perform the operation because your resource doesn’t exist."
    return ServiceError("WAFNonexistentItemException", message)


def associated(what: str) -> ServiceError:
    message = f"AWS WAF couldn’t perform the operation because your resource is being used by {what}."
    return ServiceError("WAFAssociatedItemException", message)


def exceeded(what: str) -> ServiceError:
    message = f"AWS WAF couldn’t perform the operation because you exceeded your resource limit: {what}."
    return ServiceError("WAFLimitsExceededException", message)


class LogDestinations(Protocol):
    """Where log records may go; the site hands it in."""

    async def exists(self, arn: str) -> bool:
        """Whether there is such a destination at this place now."""

    async def deliver(self, arn: str, records: list[dict[str, Any]]) -> None:
        """Durable when it returns. Raises ServiceError."""


class Operations:
    """Base of each noun's operations. ``groups`` are the managed rule groups, where there are any."""

    def __init__(
        self,
        control: Control,
        *,
        account: str,
        region: str,
        reports: Reports | None = None,
        destinations: LogDestinations | None = None,
        groups: Groups | None = None,
    ) -> None:
        self._control = control
        self._account = account
        self._region = region
        self._reports = reports or Reports(destinations)
        self._destinations = destinations
        self._groups = groups

    def _arn(self, noun: str, scope: str, name: str, identifier: str) -> str:
        """A CloudFront scope's is in us-east-1 wherever the place is, as everybody's tools expect."""
        region, part = ("us-east-1", "global") if scope == "CLOUDFRONT" else (self._region, "regional")
        return f"arn:aws:wafv2:{region}:{self._account}:{part}/{noun}/{name}/{identifier}"

    def _named(self, noun: str, scope: str, name: str, identifier: str) -> Document:
        """Raises WAFNonexistentItemException."""
        return self._by_arn(noun, self._arn(noun, scope, name, identifier))

    def _by_arn(self, noun: str, arn: str) -> Document:
        found = self._control.get(f"waf-{noun}", arn)
        if found is None:
            raise nonexistent()
        return found

    async def _create(
        self,
        noun: str,
        scope: str,
        name: str,
        description: str | None,
        document: Mapping[str, Any],
        tags: list[Document] | None,
    ) -> Output:
        """Within ``changing``. Raises WAFDuplicateItemException, WAFLimitsExceededException."""
        same = [each for each in self._control.all(f"waf-{noun}").values() if each["scope"] == scope]
        if any(each["name"] == name for each in same):
            message = "AWS WAF couldn’t perform the operation because some resource in your request is a duplicate."
            raise ServiceError("WAFDuplicateItemException", message)
        if len(same) >= MOST_OF_A_KIND:
            raise exceeded(f"{MOST_OF_A_KIND} of {NOUNS[noun]}")
        identifier = str(uuid.uuid4())
        arn = self._arn(noun, scope, name, identifier)
        entity = {
            "scope": scope,
            "name": name,
            "id": identifier,
            "arn": arn,
            "lock": str(uuid.uuid4()),
            "description": description,
            "document": stored(document),
        }
        if tags:
            await self._control.put("waf-tags", arn, {"tags": merged_tags({}, tags)}, deploy=False)
        await self._control.put(f"waf-{noun}", arn, entity)
        return {"Summary": summary(entity)}

    async def _update(
        self, noun: str, entity: Document, lock: str, description: str | None, document: Mapping[str, Any]
    ) -> Output:
        """Within ``changing``. Raises WAFOptimisticLockException."""
        check_lock(entity, lock)
        changed = {**entity, "lock": str(uuid.uuid4()), "description": description, "document": stored(document)}
        await self._control.put(f"waf-{noun}", entity["arn"], changed)
        return {"NextLockToken": changed["lock"]}

    async def _delete(self, noun: str, entity: Document, lock: str) -> Output:
        check_lock(entity, lock)
        await self._control.delete(f"waf-{noun}", entity["arn"])
        for kind in ("waf-tags", "waf-policy", "waf-logging"):
            if self._control.get(kind, entity["arn"]) is not None:
                await self._control.delete(kind, entity["arn"])
        return {}

    def _listed(self, noun: str, scope: str, marker: str | None, limit: int) -> tuple[list[Output], dict[str, str]]:
        """Summaries of one page, and the member NextMarker."""
        found = sorted(
            (each for each in self._control.all(f"waf-{noun}").values() if each["scope"] == scope),
            key=lambda each: str(each["name"]),
        )
        selected, more = page(found, marker, limit)
        return [summary(each) for each in selected], more

    def _distributions_of(self, arn: str) -> list[Document]:
        """The distributions behind a web ACL."""
        return [each for each in self._control.all("distribution").values() if each["config"].get("WebACLId") == arn]


def check_lock(entity: Document, lock: str) -> None:
    if lock != entity["lock"]:
        message = (
            "AWS WAF couldn’t save your changes because someone changed the resource after you started to edit it. "
            "Reapply your changes."
        )
        raise ServiceError("WAFOptimisticLockException", message)


def summary(entity: Document) -> Output:
    return {
        "Name": entity["name"],
        "Id": entity["id"],
        "Description": entity["description"] or "",
        "LockToken": entity["lock"],
        "ARN": entity["arn"],
    }


def described(entity: Document) -> Output:
    """The members that every shape has, and the document's."""
    made: Output = {"Name": entity["name"], "Id": entity["id"], "ARN": entity["arn"]}
    if entity["description"]:
        made["Description"] = entity["description"]
    return {**made, **shown(entity["document"])}


def page(found: list[Document], marker: str | None, limit: int) -> tuple[list[Document], dict[str, str]]:
    """A marker is the number of what came before. Raises WAFInvalidParameterException."""
    if marker is not None and not marker.isdecimal():
        raise invalid("The marker is not one that a list gave", "FILTER_CONDITION", marker)
    start = int(marker or 0)
    following = {"NextMarker": str(start + limit)} if len(found) > start + limit else {}
    return found[start : start + limit], following


def merged_tags(before: Mapping[str, str], tags: list[Document]) -> dict[str, str]:
    merged = {**before, **{str(tag["Key"]): str(tag["Value"]) for tag in tags}}
    if len(merged) > MOST_TAGS:
        raise exceeded(f"{MOST_TAGS} tags of a resource")
    return merged


def stored(document: Any) -> Any:
    """Bytes as base64 text, so that JSON can hold it."""
    return json.loads(json.dumps(document, default=lambda data: base64.b64encode(data).decode()))


def shown(document: Any) -> Any:
    """The way back: search strings are the only bytes of the model."""
    if isinstance(document, list):
        return [shown(each) for each in document]
    if isinstance(document, dict):
        return {
            name: base64.b64decode(value) if name == "SearchString" else shown(value)
            for name, value in document.items()
        }
    return document
