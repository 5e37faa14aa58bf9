"""The objects of a box as files: WebDAV over TLS, by rclone, which asks the box's own S3 for them.

Owns: the child, how it is told where the box is and who may come in, and that it keeps nothing on a disk: its cache
folder is in memory and it caches no content. A file that is written is an object at once, and an object a file; at the
top a folder is a bucket. Whoever comes in shows the box's access key as user, its secret key as password.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
from pathlib import Path

from littoral.aws.identity import AccessKey
from littoral.net.tls import Pair
from littoral.site.front.process import end_with_parent
from littoral.site.place import Misconfigured

log = logging.getLogger("littoral.site")

START = 20.0  # seconds until it must serve
PAUSE = 1.0  # seconds before it is started again

# How long rclone takes a folder it has listed for fresh: less than no time, for whoever speaks S3 writes there too,
# and with 10 ms nearly every other file that was overwritten was read by its old size. After twice this time rclone
# (1.64 and later) wakes to forget the folder, and again and again where a new one in it is empty, which no object
# store lists, or one was removed: with 0 that took all processors. Twice this is a minute, in the 64 bits in which
# rclone counts.
FRESH = f"{30 * 10**9 - 2**63}ns"


class WebDav:
    """``start`` it; ``port`` is where it listens."""

    def __init__(self, host: str, port: int, pair: Pair, key: AccessKey, s3: str, region: str, folder: Path) -> None:
        found = shutil.which("rclone")
        if found is None:
            raise Misconfigured("--webdav-port needs rclone on PATH (Debian: apt install rclone)")
        self._program = found
        self._host = host
        self.port = port or _free(host)
        self._pair = pair
        self._folder = folder
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "RCLONE_CONFIG": str(folder / "none"),
            "RCLONE_CACHE_DIR": str(folder),
            "RCLONE_USER": key.id,
            "RCLONE_PASS": key.secret,
            "RCLONE_CONFIG_BOX_TYPE": "s3",
            "RCLONE_CONFIG_BOX_PROVIDER": "Other",
            "RCLONE_CONFIG_BOX_ENDPOINT": s3,
            "RCLONE_CONFIG_BOX_REGION": region,
            "RCLONE_CONFIG_BOX_ACCESS_KEY_ID": key.id,
            "RCLONE_CONFIG_BOX_SECRET_ACCESS_KEY": key.secret,
            "RCLONE_CONFIG_BOX_ACL": "bucket-owner-full-control",  # the one that a bucket without lists takes
            "RCLONE_CONFIG_BOX_LIST_URL_ENCODE": "true",  # XML has no way to name some characters that keys have
            "RCLONE_CONFIG_BOX_CHUNK_SIZE": "16Mi",  # of a file whose size is not told: 156 GiB at most
        }
        self._child: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serving, or Misconfigured."""
        try:
            socket.create_server((self._host, self.port)).close()
        except OSError as problem:  # else whoever has the port would be taken for it
            raise Misconfigured(
                f"cannot listen on {self._host}:{self.port}: {os.strerror(problem.errno or 0)}"
            ) from problem
        self._folder.mkdir(mode=0o700)
        for name, content in zip(("crt", "key"), self._pair, strict=True):
            (self._folder / f"webdav.{name}").write_bytes(content)
        try:
            await self._spawn()
            await self._serving()
        except BaseException:
            await self.close(0.0)
            raise
        self._watching = asyncio.create_task(self._watch())

    async def _spawn(self) -> None:
        self._child = await asyncio.create_subprocess_exec(
            *(self._program, "serve", "webdav", "box:", "--addr", f"{self._host}:{self.port}"),
            *("--cert", str(self._folder / "webdav.crt"), "--key", str(self._folder / "webdav.key")),
            *("--min-tls-version", "tls1.2", "--vfs-cache-mode", "off", f"--dir-cache-time={FRESH}"),
            *("--low-level-retries", "2"),  # of what the box says is away: by ten it tried for minutes
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,  # it names files
            env=self._env,
            preexec_fn=end_with_parent,
            start_new_session=True,
        )

    async def _serving(self) -> None:
        assert self._child is not None
        async with asyncio.timeout(START):
            while self._child.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(self._host, self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)
        raise Misconfigured(f"rclone did not serve WebDAV on {self._host}:{self.port}: exit {self._child.returncode}")

    async def _watch(self) -> None:
        while True:
            assert self._child is not None
            code = await self._child.wait()
            log.error("rclone, which serves WebDAV, ended by itself (%d) and is started again", code)
            await asyncio.sleep(PAUSE)
            await self._spawn()

    async def close(self, grace: float) -> None:
        """What is under way has ``grace`` seconds."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        child = self._child
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), grace + 1.0)
        except TimeoutError:
            child.kill()
            await child.wait()


def _free(host: str) -> int:
    with socket.create_server((host, 0)) as found:
        port: int = found.getsockname()[1]
        return port
