"""What may be in a bucket after its place died: a ledger for each key, held against what is there. Pure.

Every change is *begun* before it is asked for and *settled* when its answer is there. What was settled must be there,
what was only begun may be: the place may have died before the change or after it. What a check saw is the truth from
then on, so nothing may come back that was once seen to be gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Plain:
    """A key of a bucket that keeps no versions. A content is known by its name, None is no object."""

    certain: str | None = None
    perhaps: list[str | None] = field(default_factory=list)

    def begin(self, name: str | None) -> None:
        self.perhaps.append(name)

    def settle(self) -> None:
        self.certain = self.perhaps.pop()

    def check(self, seen: str | None) -> list[str]:
        """What is wrong."""
        wrong = [] if seen in (self.certain, *self.perhaps) else [f"{seen} is there in the place of {self.certain}"]
        self.certain, self.perhaps = seen, []
        return wrong


@dataclass(slots=True)
class Versions:
    """A key whose versions are kept, from the oldest to the newest. A version of None is a delete marker."""

    certain: dict[str, str | None] = field(default_factory=dict)
    added: list[str | None] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)

    def begin(self, name: str | None) -> None:
        self.added.append(name)

    def settle(self, version: str) -> None:
        self.certain[version] = self.added.pop()

    def begin_removal(self, version: str) -> None:
        self.removed.add(version)

    def settle_removal(self, version: str) -> None:
        self.removed.discard(version)
        del self.certain[version]

    def check(self, seen: Mapping[str, str | None], newest: str | None) -> list[str]:
        """``seen``: names by version; ``newest`` is the version that is said to be it. What is wrong."""
        wrong = [f"version {each} is lost" for each in self.certain if each not in seen and each not in self.removed]
        for version, name in seen.items():
            if version in self.certain:
                if name != self.certain[version]:
                    wrong.append(f"version {version} is {name}, not {self.certain[version]}")
            elif name in self.added:
                self.added.remove(name)
            else:
                wrong.append(f"version {version} ({name}) is there and nobody wrote it, or it is back")
        kept = {version: seen[version] for version in self.certain if version in seen}
        self.certain, self.added, self.removed = kept | dict(seen), [], set()
        if newest != next(reversed(self.certain), None):
            wrong.append(f"version {newest} is said to be the newest")
        return wrong


@dataclass(slots=True)
class Upload:
    """A multipart upload: ETags of its parts by number. Its content's name is known from its begin."""

    key: str
    name: str
    parts: dict[int, str] = field(default_factory=dict)
    ending: bool = False  # to be completed or aborted, and no answer to that

    def check(self, seen: dict[int, str] | None) -> list[str]:
        """``seen`` is None where there is no such upload."""
        if seen is None:
            return [] if self.ending else [f"the upload of {self.name} is gone"]
        return [f"part {each} of {self.name} is lost" for each, etag in self.parts.items() if seen.get(each) != etag]
