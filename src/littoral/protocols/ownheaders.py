"""Headers in which one Littoral tells another of contents what S3 has no words for."""

from __future__ import annotations

from typing import Final

FOUND: Final = "x-littoral-crc64nvme"  # of a head: what the place found as it came, where its writer stated none
ETAG: Final = "x-littoral-etag"  # of a part: of what its ETag may be
BY_CHECKSUM: Final = "checksum"  # its CRC64NVME: the place need not compute an MD5
