"""How much is logged of whom: a default level, and levels of targets that take its place.

Of several targets that an entry concerns the most talkative decides; of a thing's groups the nearest that has a level.
Source: https://docs.aws.amazon.com/iot/latest/developerguide/configure-logging.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from littoral.store.documents import Documents
from littoral.things.registry import Registry

SETTING: Final = "logging"
LEVELS: Final = ("DISABLED", "ERROR", "WARN", "INFO", "DEBUG")
GROUP: Final = "THING_GROUP"


@dataclass(frozen=True, slots=True)
class Who:
    """Whom an entry is about; "" is nobody in particular."""

    client_id: str = ""
    principal: str = ""
    source_ip: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """``targets``: level by (type, name)."""

    role: str = ""
    level: str = "DISABLED"
    disabled: bool = False
    targets: dict[tuple[str, str], str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        targets = [[kind, name, level] for (kind, name), level in self.targets.items()]
        return {"role": self.role, "level": self.level, "disabled": self.disabled, "targets": targets}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Options:
        targets = {(kind, name): level for kind, name, level in found["targets"]}
        return cls(found["role"], found["level"], found["disabled"], targets)


class Levels:
    """``options`` is None until they are set once."""

    def __init__(self, registry: Registry) -> None:
        self.options: Options | None = None
        self._registry = registry
        self._settings: Documents = registry.settings
        self._known: dict[Who, int] = {}
        self.on_change: Callable[[], None] = lambda: None
        self.most = 0  # the rank of the most talkative level that anybody has
        registry.on_change(lambda _: self._known.clear())
        registry.on_fleet_change(lambda _: self._known.clear())

    async def open(self) -> None:
        kept = await self._settings.get(SETTING)
        if kept is not None:
            self._become(Options.from_json(kept))

    async def put(self, options: Options) -> None:
        await self._settings.put(SETTING, options.to_json())
        self._become(options)

    def _become(self, options: Options) -> None:
        self.options = options
        self.most = 0 if options.disabled else max(map(LEVELS.index, (options.level, *options.targets.values())))
        self._known.clear()
        self.on_change()

    def wants(self, level: str, who: Who) -> bool:
        rank = LEVELS.index(level)
        return rank <= self.most and rank <= self._rank(who)

    def _rank(self, who: Who) -> int:
        found = self._known.get(who)
        if found is None:
            if len(self._known) > 10_000:
                self._known.clear()
            found = self._known[who] = self._resolved(who)
        return found

    def _resolved(self, who: Who) -> int:
        assert self.options is not None
        targets = self.options.targets
        named = (("CLIENT_ID", who.client_id), ("SOURCE_IP", who.source_ip), ("PRINCIPAL_ID", who.principal))
        levels = [targets[each] for each in named if each in targets]
        for thing in self._registry.principals.of_holder(who.principal):
            for group in self._registry.members.of_holder(thing):
                lineage = ((GROUP, name) for name in (group, *self._registry.ancestors(group)))
                levels.extend([targets[each] for each in lineage if each in targets][:1])
        return max(map(LEVELS.index, levels)) if levels else LEVELS.index(self.options.level)
