"""The topic mappings of the public component ``aws.greengrass.clientdevices.mqtt.Bridge``. Pure.

Configuration, as AWS documents it (and the ``merge`` of a deployment gives it)::

    {"mqttTopicMapping": {"aggregates": {"topic": "ward/bed/+/aggregate", "source": "LocalMqtt",
                                         "target": "IotCore", "targetTopicPrefix": "ward7/"}}}

On a Littoral core, local publish/subscribe *is* the local broker, so Pubsub and LocalMqtt are one, and a mapping
between these two has nothing to do.

``mqtt5RouteOptions`` names mappings from the local broker: with ``noLocal`` a message that the bridge brought is not
sent on by that mapping, with ``retainAsPublished`` one that is to be retained is to be so above, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from littoral.core.recipe import BadComponent
from littoral.protocols.mqtt.topics import BadTopic, check_filter

BRIDGE = "aws.greengrass.clientdevices.mqtt.Bridge"
LOCAL = ("LocalMqtt", "Pubsub")
CLOUD = "IotCore"


@dataclass(frozen=True, slots=True)
class TopicMapping:
    """From the local broker up, or from above down."""

    name: str
    filter: str
    up: bool
    prefix: str = ""  # set before the topic at the target
    no_local: bool = False  # nothing that the bridge itself brought
    retain: bool = False  # as it was published


def mappings(configuration: Mapping[str, Any]) -> tuple[TopicMapping, ...]:
    """Those that move messages. Raises BadComponent."""
    unknown = set(configuration) - {"mqttTopicMapping", "mqtt5RouteOptions"}
    if unknown:
        raise BadComponent(f"{BRIDGE}: the configuration {', '.join(sorted(unknown))} is not served by Littoral")
    table = configuration.get("mqttTopicMapping", {})
    if not isinstance(table, dict):
        raise BadComponent(f"{BRIDGE}: mqttTopicMapping must be an object")
    options = configuration.get("mqtt5RouteOptions", {})
    if not isinstance(options, dict) or options.keys() - table.keys():
        raise BadComponent(f"{BRIDGE}: mqtt5RouteOptions must be an object with names of mqttTopicMapping")
    for name, entry in options.items():
        _check_options(name, entry, table[name])
    found = (_mapping(name, entry, options.get(name, {})) for name, entry in table.items())
    return tuple(mapping for mapping in found if mapping is not None)


def _check_options(name: str, options: Any, mapping: Any) -> None:
    known = isinstance(options, dict) and not options.keys() - {"noLocal", "retainAsPublished"}
    if not known or not all(isinstance(each, bool) for each in options.values()):
        raise BadComponent(f"{BRIDGE}: mqtt5RouteOptions of {name} are noLocal and retainAsPublished, true or false")
    if any(options.values()) and not (isinstance(mapping, dict) and mapping.get("source") == LOCAL[0]):
        raise BadComponent(f"{BRIDGE}: {name}: {' and '.join(options)} is of mappings whose source is {LOCAL[0]}")


def _mapping(name: str, entry: Any, options: Mapping[str, bool]) -> TopicMapping | None:
    if not isinstance(entry, dict) or set(entry) - {"topic", "source", "target", "targetTopicPrefix"}:
        raise BadComponent(f"{BRIDGE}: {name} must have topic, source, target and at most targetTopicPrefix")
    topic, source, target = (entry.get(key) for key in ("topic", "source", "target"))
    prefix = entry.get("targetTopicPrefix", "")
    ends = (*LOCAL, CLOUD)
    if source not in ends or target not in ends or source == target:
        raise BadComponent(f"{BRIDGE}: {name} must go from one of {', '.join(ends)} to another")
    if not isinstance(prefix, str) or "+" in prefix or "#" in prefix:
        raise BadComponent(f"{BRIDGE}: the targetTopicPrefix of {name} must be a text without wildcards")
    try:
        check_filter(topic if isinstance(topic, str) else "")
    except BadTopic as problem:
        raise BadComponent(f"{BRIDGE}: the topic of {name}: {problem}") from problem
    if CLOUD not in (source, target):
        if prefix:
            raise BadComponent(f"{BRIDGE}: {name}: LocalMqtt and Pubsub are one here, so a prefix between them is not")
        return None
    no_local, retain = options.get("noLocal", False), options.get("retainAsPublished", False)
    return TopicMapping(name, str(topic), target == CLOUD, prefix, no_local, retain)
