"""The public component ``aws.greengrass.LegacySubscriptionRouter``: where greengrasssdk's ``publish`` leads. Pure.

Configuration, as AWS documents it::

    {"subscriptions": {"up": {"id": "up", "source": "component:ward.notes", "subject": "ward/+/alarm",
                              "target": "cloud"}}}

Source and target are functions on the core, as ``component:NAME`` or the ARN of a function's version; a target may be
``cloud``, which is the place above.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from littoral.core.recipe import BadComponent, LambdaComponent, function_of
from littoral.protocols.mqtt.topics import BadTopic, check_filter, matches

NAME = "aws.greengrass.LegacySubscriptionRouter"
CLOUD = "cloud"
OF_COMPONENT = "component:"


@dataclass(frozen=True, slots=True)
class Subscription:
    source: str
    subject: str  # a filter
    target: str


def subscriptions(configuration: Mapping[str, Any]) -> tuple[Subscription, ...]:
    """Raises BadComponent."""
    unknown = set(configuration) - {"subscriptions"}
    if unknown:
        raise BadComponent(f"{NAME}: the configuration {', '.join(sorted(unknown))} is not known")
    table = configuration.get("subscriptions", {})
    if not isinstance(table, dict):
        raise BadComponent(f"{NAME}: subscriptions must be an object")
    return tuple(_subscription(key, entry) for key, entry in table.items())


def is_end(end: str, component: LambdaComponent) -> bool:
    """Whether a subscription's source or target is that component."""
    return end in (OF_COMPONENT + component.name, component.arn)


def targets(subscribed: Iterable[Subscription], source: LambdaComponent, topic: str) -> list[str]:
    """Where a message of a function goes, each once."""
    found = (each.target for each in subscribed if is_end(each.source, source) and matches(each.subject, topic))
    return list(dict.fromkeys(found))


def _subscription(key: str, entry: Any) -> Subscription:
    if not isinstance(entry, dict) or set(entry) != {"id", "source", "subject", "target"} or entry["id"] != key:
        raise BadComponent(f"{NAME}: {key} must have id (the same), source, subject and target")
    source, subject, target = (str(entry[member]) for member in ("source", "subject", "target"))
    _check_end(key, source)
    if target != CLOUD:
        _check_end(key, target)
    try:
        check_filter(subject)
    except BadTopic as problem:
        raise BadComponent(f"{NAME}: the subject of {key}: {problem}") from problem
    return Subscription(source, subject, target)


def _check_end(key: str, end: str) -> None:
    if not end.startswith(OF_COMPONENT):
        try:
            function_of(end)
        except BadComponent as problem:
            raise BadComponent(f"{NAME}: {key}: {end} is neither component:NAME nor {problem}") from problem
