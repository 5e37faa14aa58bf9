"""What is known of an object, and how the index keeps it. Frozen facts; no storage."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from littoral.objects.access.acl import Acl
from littoral.objects.checksums import Checksum
from littoral.objects.encryption import Encryption
from littoral.objects.errors import error
from littoral.objects.locks import OPEN, Lock

Tags = tuple[tuple[str, str], ...]
SHORT = 512  # characters of facts that are remembered
PLAIN_CLASS = "STANDARD"  # the storage class of objects that name none
ENFORCED = "BucketOwnerEnforced"
_text = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of an object's bytes: one blob. Blobs never change, so objects may share them."""

    blob: str
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the upload that the object was completed from, for PartNumber and GetObjectAttributes."""

    number: int
    size: int
    checksum: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the writer said of the object. ``headers`` has the model's names: ContentType, CacheControl …"""

    headers: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    checksum: Checksum | None = None
    parts: tuple[Part, ...] = ()
    encryption: Encryption | None = None
    acl: Acl | None = None  # None: its bucket's owner has it to themselves
    restored: float | None = None  # of an archive's class: until when it can be read
    found: str | None = None  # the CRC64NVME (base64), where it was computed here and stated by nobody

    def dump(self) -> str:
        kept: dict[str, Any] = {"headers": self.headers, "metadata": self.metadata}
        for name in ("checksum", "encryption"):
            part = getattr(self, name)
            kept[name] = None if part is None else _members(part)
        kept["acl"] = None if self.acl is None else asdict(self.acl)
        kept["parts"] = [_members(part) for part in self.parts]
        if self.restored is not None:
            kept["restored"] = self.restored
        if self.found is not None:
            kept["found"] = self.found
        return _text(kept)

    @classmethod
    def load(cls, text: str) -> Facts:
        """What many objects have alike is read once: nobody changes it."""
        return _loaded(text) if len(text) <= SHORT else cls._load(text)

    @classmethod
    def _load(cls, text: str) -> Facts:
        raw = json.loads(text)
        checksum = Checksum(**raw["checksum"]) if raw["checksum"] else None
        encryption = Encryption(**raw["encryption"]) if raw.get("encryption") else None
        parts = tuple(Part(**part) for part in raw["parts"])
        acl = Acl.load(raw["acl"]) if raw.get("acl") else None
        expires = raw["headers"].get("Expires")
        if isinstance(expires, float):  # as it was kept once
            raw["headers"]["Expires"] = formatdate(expires, usegmt=True)
        own = raw.get("restored"), raw.get("found")
        return cls(raw["headers"], raw["metadata"], checksum, parts, encryption, acl, *own)

    @property
    def storage_class(self) -> str:
        return str(self.headers.get("StorageClass", PLAIN_CLASS))

    @property
    def encryption_members(self) -> dict[str, Any]:
        return {} if self.encryption is None else self.encryption.members()

    def check_customer(self, key_md5: str | None) -> None:
        """A customer's key beside a request that opens nothing. Raises InvalidRequest."""
        if self.encryption is None or self.encryption.key_md5 != key_md5:
            raise error("InvalidRequest", "The encryption parameters are not applicable to this object.")

    def without_list(self) -> Facts:
        """As another bucket's: its owner's alone."""
        return replace(self, acl=None)

    def with_checksum(self, checksum: Checksum | None, found: str | None) -> Facts:
        return replace(self, checksum=checksum, found=found)


def class_of(facts: str) -> str:
    """Of facts as they are kept; of most nothing is read."""
    return Facts.load(facts).storage_class if '"StorageClass"' in facts else PLAIN_CLASS


@lru_cache(256)
def _loaded(text: str) -> Facts:
    return Facts._load(text)


@dataclass(frozen=True, slots=True)
class Content:
    """An object's bytes: ``inline`` where they are few, else pieces in order."""

    size: int
    etag: str  # without quotes
    inline: bytes | None = None
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket's row: what is configured of it as it is kept. ``versioning`` is None, Enabled or Suspended; ``lock`` is
    None where it has no Object Lock; ``owner`` is an account where it is not the place's; ``ownership`` is "" where
    nothing controls it, so that writers own what they write."""

    created: float
    notification: str | None = None
    tags: str | None = None
    versioning: str | None = None
    lock: str | None = None
    encryption: str | None = None
    lifecycle: str | None = None
    owner: str | None = None
    ownership: str | None = None
    acl: str | None = None
    policy: str | None = None
    public_block: str | None = None
    cors: str | None = None
    website: str | None = None
    replication: str | None = None
    logging: str | None = None
    payer: str | None = None

    @property
    def lists_apply(self) -> bool:
        """Whether access control lists count. A bucket made before there were any is its owner's."""
        return self.ownership not in (None, ENFORCED)


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in the index. ``id`` changes with every overwrite. ``version`` is None where its bucket never kept
    versions."""

    id: int
    bucket: str
    key: str
    modified: float
    content: Content
    facts: Facts
    tags: Tags = ()
    version: str | None = None
    lock: Lock = OPEN
    rules: str | None = None  # the lifecycle rules of its bucket, as they are kept
    replication: str | None = None  # PENDING, COMPLETED, FAILED or REPLICA

    @property
    def quoted(self) -> str:
        return f'"{self.content.etag}"'

    @property
    def version_member(self) -> dict[str, str]:
        return version_member(self.version)


def _members(part: Checksum | Encryption | Part) -> dict[str, Any]:
    """``asdict``, which copies what nobody changes, took a sixth of a small object's PUT."""
    return {name: getattr(part, name) for name in part.__slots__}


def version_member(version: str | None) -> dict[str, str]:
    """For an answer: nothing where the bucket never kept versions."""
    return {} if version is None else {"VersionId": version}


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload in progress. ``algorithm`` and ``kind`` say which checksum the object will have."""

    id: str
    bucket: str
    key: str
    initiated: float
    facts: Facts
    tags: Tags = ()
    algorithm: str | None = None
    kind: str | None = None
    lock: Lock | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """What became of an upload: ``object`` is the id that it got."""

    etag: str
    object: int
    version: str | None


@dataclass(frozen=True, slots=True)
class UploadedPart:
    number: int
    piece: Piece
    etag: str
    checksum: str | None
    modified: float


def dump_tags(tags: Tags) -> str | None:
    return json.dumps(tags) if tags else None


def load_tags(text: str | None) -> Tags:
    return tuple((name, value) for name, value in json.loads(text)) if text else ()
