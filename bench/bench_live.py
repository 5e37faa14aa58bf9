"""A live HLS stream that ffmpeg makes in real time, through one edge location to many players at once.

ffmpeg writes 2-second segments and a playlist that changes; the origin serves them (a playlist is fresh for a second, a
segment for an hour) and counts. Each player reads the playlist once a second, fetches each segment that it has not got,
and stays until the stream ends. Checked: every player has every segment, byte for byte; the origin sent each segment
and each version of the playlist once. Prints requests, bytes, the origin's share of both, the edge's CPU.

    .venv/bin/python bench/bench_live.py [PLAYERS]     (500)
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import compile_plan
from littoral.edge.upstream import Upstream
from littoral.net.client import ClientLimits, HttpClient
from littoral.net.listen import listen_http
from littoral.net.message import Headers, Request, Response

HOST = "d111111abcdef8.cloudfront.net"
SECONDS = 10  # of video
PLAYLIST = "/live.m3u8"
TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".html": "text/html", ".js": "text/javascript"}
POLICY = {
    "MinTTL": 0,
    "DefaultTTL": 1,
    "MaxTTL": 86400,
    "ParametersInCacheKeyAndForwardedToOrigin": {
        "EnableAcceptEncodingGzip": False,
        "EnableAcceptEncodingBrotli": False,
        "HeadersConfig": {"HeaderBehavior": "none"},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
    },
}
FFMPEG = (
    "-hide_banner -loglevel error -re -f lavfi -i testsrc=size=192x108:rate=15 -c:v libx264 -preset ultrafast "
    "-pix_fmt yuv420p -b:v 150k -g 30 -f hls -hls_time 2 -hls_list_size 3 -hls_flags temp_file"
).split()


@dataclass
class Studio:
    """An origin over the folder that ffmpeg writes to."""

    folder: Path
    asked: int = 0
    sent_bytes: int = 0
    missing: list[str] = field(default_factory=list)  # what was asked for and is not there
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)  # whole answers by target and version

    def handle(self, request: Request) -> Response:
        self.asked += 1
        name = request.raw_path.lstrip("/")
        file = self.folder / name
        if "/" in name or not file.is_file():
            self.missing.append(request.target)
            return Response(404, Headers.of([("cache-control", "max-age=0")]), b"not there (yet)")
        body = file.read_bytes()
        tag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        live = name.endswith(".m3u8")
        headers = [
            ("etag", tag),
            ("cache-control", "max-age=1" if live else "max-age=3600"),
            ("content-type", TYPES.get(file.suffix, "video/mp2t")),
            ("access-control-allow-origin", "*"),
        ]
        if request.headers.get("if-none-match") == tag:
            return Response(304, Headers.of(headers))
        self.sent[request.raw_path, tag] += 1
        self.sent_bytes += len(body)
        return Response(200, Headers.of(headers), body)


@dataclass
class Player:
    client: HttpClient
    port: int
    segments: dict[str, str] = field(default_factory=dict)  # name → digest
    requests: int = 0
    received: int = 0

    async def get(self, target: str) -> tuple[int, bytes]:
        response = await self.client.request("GET", f"http://{HOST}{target}", address=("127.0.0.1", self.port))
        async with response:
            body = await response.body.read()
        self.requests += 1
        self.received += len(body)
        return response.status, body

    async def watch(self) -> None:
        while True:
            status, playlist = await self.get(PLAYLIST)
            lines = playlist.decode().splitlines() if status == 200 else []
            for name in [line for line in lines if line.endswith(".ts") and line not in self.segments]:
                status, body = await self.get(f"/{name}")
                if status != 200:
                    raise RuntimeError(f"{name}: {status}")
                self.segments[name] = hashlib.sha256(body).hexdigest()
            if "#EXT-X-ENDLIST" in lines:
                return
            await asyncio.sleep(1.0)  # a player's pace


@dataclass(frozen=True)
class Report:
    players: int
    segments: int
    versions: int  # of the playlist
    requests: int
    received: int
    origin_requests: int
    origin_bytes: int
    repeated: dict[tuple[str, str], int]  # whole answers that the origin gave more than once
    cpu: float  # seconds of this process: edge, origin and players


@asynccontextmanager
async def stage(folder: Path, studio: Studio) -> AsyncIterator[int]:
    """One edge location before the studio; its port."""
    client = HttpClient()
    origin = await listen_http(studio.handle)
    custom = {"HTTPPort": origin.port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    config = {
        "Enabled": True,
        "Origins": {"Items": [{"Id": "o", "DomainName": "127.0.0.1", "CustomOriginConfig": custom}]},
        "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all", "CachePolicyId": "live"},
        "CustomErrorResponses": {"Items": [{"ErrorCode": 404, "ErrorCachingMinTTL": 0}]},
    }
    pipeline = Pipeline(pop="LIVE1", folder=folder, upstream=Upstream(client, "LIVE1"), invoker=None)
    pipeline.use({"E1": compile_plan("E1", HOST, config, {"live": POLICY})})
    listener = await listen_http(pipeline.handle)
    try:
        yield listener.port
    finally:
        await listener.close(0)
        await pipeline.close()
        await client.close()
        await origin.close(0)


@asynccontextmanager
async def camera(folder: Path, seconds: int = SECONDS) -> AsyncIterator[None]:
    """ffmpeg, in real time; returns when the first playlist is there."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise FileNotFoundError("ffmpeg is not installed (apt: ffmpeg)")
    command = [program, *FFMPEG, "-t", str(seconds), str(folder / PLAYLIST.lstrip("/"))]
    made = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(20):
            while not (folder / PLAYLIST.lstrip("/")).is_file():
                await asyncio.sleep(0.05)
        yield
    finally:
        if made.returncode is None:
            made.terminate()
        await made.wait()


async def live(players: int, folder: Path, seconds: int = SECONDS) -> Report:
    studio = Studio(folder / "studio")
    studio.folder.mkdir()
    began = time.process_time()
    watching = HttpClient(ClientLimits(idle_per_origin=players))
    async with stage(folder / "edge", studio) as port, camera(studio.folder, seconds):
        audience = [Player(watching, port) for _ in range(players)]
        await asyncio.gather(*(each.watch() for each in audience))
    await watching.close()
    made = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in studio.folder.glob("*.ts")}
    for each in audience:
        if each.segments != made:
            raise RuntimeError(f"a player has {sorted(each.segments)} of {sorted(made)}, or other bytes")
    return Report(
        players,
        len(made),
        sum(1 for target, _ in studio.sent if target == PLAYLIST),
        sum(each.requests for each in audience),
        sum(each.received for each in audience),
        studio.asked,
        studio.sent_bytes,
        {key: count for key, count in studio.sent.items() if count > 1},
        time.process_time() - began,
    )


def main() -> None:
    if shutil.which("ffmpeg") is None:
        print("ffmpeg is not installed (apt: ffmpeg): skipped")
        return
    players = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(live(players, Path(folder)))
    print(f"{report.players} players, {report.segments} segments, {report.versions} versions of the playlist")
    print(f"players: {report.requests:,} requests, {report.received / 1e6:.1f} MB")
    print(f"origin:  {report.origin_requests:,} requests, {report.origin_bytes / 1e6:.3f} MB")
    print(f"sent more than once by the origin: {report.repeated or 'nothing'}")
    each = report.cpu / report.requests * 1e6
    print(f"CPU of edge, origin and players together: {report.cpu:.1f} s ({each:.0f} µs a request)")
    if report.repeated:
        sys.exit("the origin sent something twice")


if __name__ == "__main__":
    main()
