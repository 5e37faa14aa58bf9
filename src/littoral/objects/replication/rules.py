"""What of a bucket goes where: a ReplicationConfiguration checked, and asked. Pure. ("Replication configuration file
elements" of the S3 user guide; both forms of rules, the older without ``Filter``)"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from littoral.objects.encryption import KMS
from littoral.objects.errors import error, invalid_argument, malformed, not_implemented
from littoral.objects.facts import Facts, Tags

MOST_RULES = 1000
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
_BUCKET = re.compile(r"arn:aws[a-z-]*:s3:::([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])")


@dataclass(frozen=True, slots=True)
class Rule:
    target: str  # the destination bucket's name
    priority: int
    prefix: str
    tags: frozenset[tuple[str, str]]
    markers: bool  # delete markers, too
    kms: bool  # objects of SSE-KMS, too

    def fits(self, key: str, tags: Tags) -> bool:
        return key.startswith(self.prefix) and self.tags <= set(tags)


@lru_cache(maxsize=1024)
def rules_of(kept: str) -> tuple[Rule, ...]:
    """Those that are enabled, the most important first."""
    rules = [_rule(raw) for raw in json.loads(kept)["Rules"] if raw["Status"] == "Enabled"]
    return tuple(sorted(rules, key=lambda rule: -rule.priority))


def targets_of(kept: str | None, key: str, tags: Tags, facts: Facts) -> list[str]:
    """The buckets that this object goes to, each once."""
    if kept is None:
        return []
    kms = facts.encryption is not None and facts.encryption.kind == KMS
    fitting = (rule.target for rule in rules_of(kept) if rule.fits(key, tags) and (rule.kms or not kms))
    return list(dict.fromkeys(fitting))


def marker_targets_of(kept: str | None, key: str) -> list[str]:
    """Of the rules for one destination the most important decides."""
    decided: dict[str, bool] = {}
    for rule in rules_of(kept) if kept is not None else ():
        if rule.fits(key, ()):
            decided.setdefault(rule.target, rule.markers)
    return [target for target, goes in decided.items() if goes]


def checked(configuration: Mapping[str, Any]) -> str:
    """A ReplicationConfiguration as it is kept, its rules named. Raises MalformedXML, InvalidRequest, InvalidArgument,
    NotImplemented."""
    if not _ROLE.fullmatch(configuration.get("Role") or ""):
        raise invalid_argument("Invalid Role ARN", "Role", configuration.get("Role") or "")
    rules = [dict(rule) for rule in configuration.get("Rules") or []]
    if not 1 <= len(rules) <= MOST_RULES:
        raise malformed()
    for rule in rules:
        rule.setdefault("ID", secrets.token_hex(16))
        _check(rule)
    if len({rule["ID"] for rule in rules}) != len(rules):
        raise error("InvalidArgument", "Rule Id must be unique. Found same Id for more than one rule")
    newer = {"Filter" in rule for rule in rules}
    if len(newer) > 1:
        message = "All rules of a replication configuration must be of one form: with Filter, or without"
        raise error("InvalidRequest", message)
    if newer == {True} and len({rule.get("Priority", 0) for rule in rules}) != len(rules):
        raise error("InvalidRequest", "Found duplicate priority. Rules must have unique priorities.")
    return json.dumps({"Role": configuration["Role"], "Rules": rules})


def _check(rule: Mapping[str, Any]) -> None:
    destination = rule.get("Destination") or {}
    if not _BUCKET.fullmatch(destination.get("Bucket") or ""):
        raise invalid_argument("Invalid bucket ARN.", "Bucket", destination.get("Bucket") or "")
    if rule.get("Status") not in ("Enabled", "Disabled") or len(rule["ID"]) > 255:
        raise malformed()
    for member in ("EncryptionConfiguration", "ReplicationTime", "AccessControlTranslation", "Metrics"):
        if (destination.get(member) or {}).get("Status") != "Disabled" and destination.get(member):
            raise not_implemented(f"Destination.{member} is not there")
    if destination.get("StorageClass") not in (None, "STANDARD"):
        raise not_implemented("Replicas have the class of what they replicate", "StorageClass")
    if _status(rule.get("ExistingObjectReplication")):
        raise error("InvalidRequest", "Existing object replication is not supported.")
    if _status((rule.get("SourceSelectionCriteria") or {}).get("ReplicaModifications")):
        raise not_implemented("Changes of replicas are not replicated back")
    if "Filter" in rule:
        if rule.get("DeleteMarkerReplication") is None or "Prefix" in rule:
            raise error("InvalidRequest", "DeleteMarkerReplication must be specified for this version of the schema")
        if _status(rule["DeleteMarkerReplication"]) and _tags(rule):
            message = "Delete marker replication is not supported if any Tag filter is specified."
            raise error("InvalidRequest", f"{message} Please refer to S3 Developer Guide for more information.")
    elif rule.get("DeleteMarkerReplication") is not None or "Prefix" not in rule:
        raise malformed()


def _rule(raw: Mapping[str, Any]) -> Rule:
    filtered = raw.get("Filter")
    found = _BUCKET.fullmatch(raw["Destination"]["Bucket"])
    assert found is not None
    return Rule(
        found[1],
        raw.get("Priority", 0),
        raw.get("Prefix", "") if filtered is None else _prefix(filtered),
        frozenset((tag["Key"], tag["Value"]) for tag in _tags(raw)),
        filtered is None or _status(raw["DeleteMarkerReplication"]),
        _status((raw.get("SourceSelectionCriteria") or {}).get("SseKmsEncryptedObjects")),
    )


def _prefix(filtered: Mapping[str, Any]) -> str:
    return str(filtered.get("Prefix") or (filtered.get("And") or {}).get("Prefix") or "")


def _tags(rule: Mapping[str, Any]) -> list[dict[str, str]]:
    filtered = rule.get("Filter") or {}
    one = [filtered["Tag"]] if filtered.get("Tag") else []
    return one + ((filtered.get("And") or {}).get("Tags") or [])


def _status(switch: Mapping[str, Any] | None) -> bool:
    return (switch or {}).get("Status") == "Enabled"
