"""What access logs cost a hit, in CPU: the pipeline's answer with and without, the write each second, and the line.

    .venv/bin/python bench/access_logs.py

In one process, without sockets: only the difference is of interest. Prints microseconds a request.
"""

from __future__ import annotations

import asyncio
import gzip
import tempfile
import time
from pathlib import Path

from edge_server import Nowhere, configuration
from littoral.edge.accesslog.delivery import AccessLogs
from littoral.edge.accesslog.formatting import gzipped
from littoral.edge.accesslog.spooled import read
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import compile_plan
from littoral.edge.policies import MANAGED_CACHE
from littoral.edge.upstream import Upstream
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from servers import HOST

COUNT = 20_000
ASKED = [
    (b"host", HOST.encode()),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, br"),
]


def asked() -> Request:
    return Request("GET", "/page", Headers(list(ASKED)), BytesBody(), Peer("192.0.2.1", 50000), "1.1", time.time())


async def warm(pipeline: Pipeline) -> None:
    """Until the object is stored: whatever is answered is read to its end."""
    for _ in range(3):
        made = pipeline.handle(asked())
        answer = made if isinstance(made, Response) else await made  # type: ignore[misc]
        if isinstance(answer, Response) and not isinstance(answer.body, bytes) and hasattr(answer.body, "__aiter__"):
            async for _chunk in answer.body:
                pass
        await asyncio.sleep(0.05)


def hits(pipeline: Pipeline) -> float:
    requests = [asked() for _ in range(COUNT)]
    began = time.thread_time()
    for request in requests:
        pipeline.handle(request)
    return (time.thread_time() - began) / COUNT * 1e6


def given_again(pipeline: Pipeline) -> float:
    """As the listener does it for the very same head on a connection."""
    spent, left = 0.0, COUNT
    while left:
        answer = pipeline.handle(asked())
        assert isinstance(answer, Response)
        if answer.again is None:  # the first
            continue
        again, began = answer.again, time.thread_time()
        while left and again() is not None:
            left -= 1
        spent += time.thread_time() - began
    return spent / COUNT * 1e6


def formatted(folder: Path) -> tuple[float, float]:
    """Microseconds a line, and bytes."""
    spent, count, size = 0.0, 0, 0
    for path in (folder / "logs").glob("*.log"):
        began = time.process_time()
        found = read(path)
        assert found is not None and found.records
        data = gzipped(found)
        spent += time.process_time() - began
        count += gzip.decompress(data).count(b"\n") - 2
        size += len(data)
        path.unlink()
    return spent / count * 1e6, size / count


async def main() -> None:
    kept = [(b"cache-control", b"max-age=3600"), (b"content-type", b"text/html")]
    origin = await listen_http(lambda _: Response(200, Headers(list(kept)), b"x" * 1024))
    client = HttpClient()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pipeline = Pipeline(pop="BENCH1", folder=folder, upstream=Upstream(client, "BENCH1"), invoker=None)
        plans = {"E1": compile_plan("E1", HOST, configuration(origin.port, logs=True), MANAGED_CACHE)}
        pipeline.use(plans)
        await warm(pipeline)
        access = AccessLogs(folder / "logs", "BENCH1", Nowhere(), 1e9)
        for kind, ask in (("a hit", hits), ("one given again", given_again)):
            rounds = []
            for _ in range(5):
                pipeline.access = None
                pipeline.use(plans)
                without = ask(pipeline)
                pipeline.access = access
                pipeline.use(plans)
                noted = ask(pipeline)
                began = time.process_time()
                await access.flush()
                rounds.append((without, noted - without, (time.process_time() - began) / COUNT * 1e6))
            without, note, write = (sorted(each)[2] for each in zip(*rounds, strict=True))
            print(f"{kind}: without logs {without:.2f} µs, noted {note:.2f} more, written {write:.2f} more")
            await access.flush(everything=True)
            spent, size = formatted(folder)
            print(f"    formatted and zipped {spent:.2f} µs a line, {size:.0f} bytes each")
        await pipeline.close()
    await client.close()
    await origin.close(0)


if __name__ == "__main__":
    asyncio.run(main())
