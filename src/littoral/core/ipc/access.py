"""Which operations a component may call on which resources: the ``accessControl`` of its configuration. Pure.

    {"aws.greengrass.ipc.pubsub": {"any.id": {"operations": ["aws.greengrass#PublishToTopic"], "resources": ["a/*"]}}}

``*`` stands for any characters; ``${*}``, ``${?}`` and ``${$}`` for these themselves. A topic may be given as an MQTT
filter too. Nothing is allowed that no policy allows. Source: "Authorize components to perform IPC operations" in the
AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from littoral.protocols.mqtt.topics import has_wildcard

_PIECES = re.compile(r"\$\{([*?$])\}|(\*)|([^*$]+|\$)")


def allowed(access: Any, service: str, operation: str, resource: str, *, topic: bool = False) -> bool:
    """``access`` is a component's ``accessControl``, as it wrote it. ``topic``: the resource is a topic or a filter."""
    policies = access.get(service) if isinstance(access, Mapping) else None
    for policy in policies.values() if isinstance(policies, Mapping) else ():
        if not isinstance(policy, Mapping):
            continue
        operations, resources = _texts(policy.get("operations")), _texts(policy.get("resources"))
        if "*" in operations or operation in operations:
            if any(_matches(pattern, resource) for pattern in resources):
                return True
            if topic and any(has_wildcard(pattern) and covers(pattern, resource) for pattern in resources):
                return True
    return False


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that the MQTT filter ``narrow`` matches is matched by ``wide``, too."""
    mine, theirs = wide.split("/"), narrow.split("/")
    for place, level in enumerate(mine):
        if level == "#":
            return True
        if place >= len(theirs) or theirs[place] == "#" or (level not in ("+", theirs[place])):
            return False
    return len(mine) == len(theirs)


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _matches(pattern: str, resource: str) -> bool:
    return _compiled(pattern).fullmatch(resource) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = [".*" if any_text else re.escape(quoted or plain) for quoted, any_text, plain in _PIECES.findall(pattern)]
    return re.compile("".join(parts), re.DOTALL)
