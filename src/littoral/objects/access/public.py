"""Blocks of public access of a bucket. ("Blocking public access to your Amazon S3 storage")"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMES = {
    "blocks_lists": "BlockPublicAcls",
    "ignores_lists": "IgnorePublicAcls",
    "blocks_policies": "BlockPublicPolicy",
    "restricts_buckets": "RestrictPublicBuckets",
}


@dataclass(frozen=True, slots=True)
class Block:
    blocks_lists: bool = False
    ignores_lists: bool = False
    blocks_policies: bool = False
    restricts_buckets: bool = False

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Block:
        return cls(*(bool(configuration.get(name)) for name in NAMES.values()))

    @classmethod
    def load(cls, kept: str | None) -> Block:
        return NONE if kept is None else cls(**json.loads(kept))

    def dump(self) -> str:
        return json.dumps({name: getattr(self, name) for name in NAMES})

    def shown(self) -> dict[str, bool]:
        return {shown: getattr(self, name) for name, shown in NAMES.items()}


NONE = Block()
ALL = Block(True, True, True, True)
