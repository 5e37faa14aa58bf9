"""What is kept in versions: policies and provisioning templates.

A record is never without a version, one of them is the default, and a version's number is not used again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Final, Self

Json = dict[str, Any]

MOST: Final = 5  # versions of one record


@dataclass(frozen=True, slots=True)
class Version:
    id: int
    text: str
    created: float


@dataclass(frozen=True, slots=True)
class Versioned:
    """``TEXT`` is what a subclass calls the text of a version where it is kept."""

    TEXT: ClassVar[str]

    name: str
    versions: tuple[Version, ...]  # oldest first
    default_id: int
    created: float
    modified: float
    next_id: int = field(default=2, kw_only=True)

    @property
    def default(self) -> Version:
        return next(version for version in self.versions if version.id == self.default_id)

    @property
    def newest(self) -> Version:
        return self.versions[-1]

    def adding(self, text: str, now: float, *, as_default: bool) -> Self:
        """With one more version, its ``newest``."""
        version = Version(self.next_id, text, now)
        return replace(
            self,
            versions=(*self.versions, version),
            next_id=self.next_id + 1,
            default_id=version.id if as_default else self.default_id,
            modified=now,
        )

    def without(self, gone: Version, now: float) -> Self:
        """Not to be asked of the default version."""
        return replace(self, versions=tuple(one for one in self.versions if one is not gone), modified=now)

    def to_json(self) -> Json:
        versions = [{"id": one.id, self.TEXT: one.text, "created": one.created} for one in self.versions]
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"versions": versions}

    @classmethod
    def from_json(cls, found: Json) -> Self:
        """Numbers may be text: so the first places wrote those of policies."""
        versions = tuple(Version(int(one["id"]), one[cls.TEXT], one["created"]) for one in found["versions"])
        return cls(**{**found, "versions": versions, "default_id": int(found["default_id"])})
