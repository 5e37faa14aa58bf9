"""What is moved, and what is known of it. Frozen facts, and what a source promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from littoral.box.transfer.sums import Sum
from littoral.net.bulk import Content
from littoral.net.receiving import Sink


@dataclass(frozen=True, slots=True)
class Item:
    """``stamp`` says which content a name had as it was listed: it changes with the content."""

    key: str
    size: int
    stamp: str
    modified: int = 0  # Unix seconds
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the destination acknowledged. ``known`` is of the whole content, as it was read; ``etag`` is the
    destination's, without quotes."""

    item: Item
    known: Sum
    etag: str


@dataclass(frozen=True, slots=True)
class About:
    """What goes with an object's bytes: its headers, by their HTTP names, and its metadata."""

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def sent(self) -> dict[str, str]:
        return {**self.headers, **{f"x-amz-meta-{name}": value for name, value in self.metadata.items()}}


def kept(modified: int, mode: int | None) -> dict[str, str]:
    """Time and permissions of a file, as AWS Storage Gateway and DataSync keep them."""
    told = {"file-mtime": f"{modified * 10**9}ns"}
    return told if mode is None else told | {"file-permissions": f"{mode:04o}"}


class CannotMove(Exception):
    """This one cannot be transferred, now or later; the message says why."""


class Changed(Exception):
    """The content is not any more what was listed."""


class NotSound(Exception):
    """What is read here is not what was written: it may be had otherwise."""


class Reader(Protocol):
    """One item's bytes. Blocking where it says so; ``close`` it."""

    about: About
    said: Sum | None  # of the whole content by the source; whoever reads it holds it against that

    async def fill(self, buffer: memoryview) -> int:
        """With the next bytes; how many, fewer only at the end. Raises Changed, CannotMove, or what the network raises:
        the same bytes may then be asked for again."""

    async def close(self) -> None: ...


@runtime_checkable
class Rereader(Reader, Protocol):
    """One whose bytes can be read more than once: for its checksum, and as they are sent."""

    def stretch(self, begin: int, size: int) -> Content:
        """Of the item. Reading it raises Changed, CannotMove, NotSound."""


@runtime_checkable
class Drawer(Reader, Protocol):
    """One whose bytes come from anywhere in it, into whatever takes them."""

    async def draw(self, begin: int, size: int, sink: Sink) -> None:
        """Raises as ``fill``, and what the sink does."""


Found = Item | tuple[str, str]  # or what cannot be moved: its name and the reason


class Listing(Protocol):
    async def page(self) -> Sequence[Found] | None:
        """The next of all there is, None at the end. Where it was not answered it may be asked again."""


class Source(Protocol):
    name: str  # for people and for the journal

    def list(self) -> Listing: ...

    async def small(self, items: Sequence[Item]) -> Sequence[tuple[bytes, About] | Exception]:
        """Each whole. Changed, CannotMove and Unwell stand in the place of those that they concern."""

    async def open(self, item: Item) -> Reader: ...
