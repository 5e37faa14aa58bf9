"""Tables: PutItem, GetItem and Query of 1 KB items by signed HTTP, against dynalite and moto's server in the same run.

Requests are signed before the clock starts; four connections, each waiting for its answer; the servers take turns,
three rounds, the median counts. Littoral verifies signatures, and its puts are durable (fsync) before the answer;
dynalite and moto do neither: their items are in memory.

    npm install dynalite; python -m venv moto && moto/bin/pip install 'moto[server,dynamodb]'
    .venv/bin/python bench/bench_tables.py --dynalite node_modules/.bin/dynalite --moto moto/bin/moto_server
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from littoral.aws.sign import sign
from littoral.net.message import Headers

CONNECTIONS, SECONDS, ROUNDS, KEYS = 4, 1.5, 3, 200
SERVER = """
import asyncio, sys, uvloop
from pathlib import Path
from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.net.listen import listen_http
from littoral.store.embedded import EmbeddedStore
from littoral.tables import TableStore
async def main():
    folder = Path(sys.argv[1])
    store = await EmbeddedStore.open(folder / "store")
    tables = await TableStore.open(folder / "tables", region="us-east-1", account="000000000000")
    identity = await Identity.open(store.records("identity"))
    gateway = Gateway({"dynamodb": tables.api}, identity, region="us-east-1", account="000000000000")
    listener = await listen_http(gateway.handle)
    print(listener.port, identity.root.id, identity.root.secret, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""


class Server:
    def __init__(self, name: str, port: int, key: str = "AKIDBENCH", secret: str = "secret") -> None:
        self.name, self.port, self._key, self._secret = name, port, key, secret

    def request(self, operation: str, body: dict[str, Any]) -> bytes:
        payload = json.dumps(body).encode()
        headers = Headers.of(
            [
                ("content-length", str(len(payload))),
                ("content-type", "application/x-amz-json-1.0"),
                ("x-amz-target", f"DynamoDB_20120810.{operation}"),
            ]
        )
        sign(
            *("POST", f"http://127.0.0.1:{self.port}/", headers),
            access_key=self._key,
            secret=self._secret,
            service="dynamodb",
            region="us-east-1",
            now=time.time(),
            payload=payload,
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + payload


class Connection:
    """Kept alive where the server does; opened anew where it closed (moto's does after each answer)."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def send(self, request: bytes) -> bytes:
        """The answer's body. Raises RuntimeError on any answer but 200."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._read()
        head, _, body = got.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"{head!r} {body[:500]!r}")
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(body) < length:
            body += self._read()
        if b"connection: close" in lines or head.startswith(b"HTTP/1.0"):
            self._socket.close()
            self._socket = None
        return body

    def _read(self) -> bytes:
        assert self._socket is not None
        chunk = self._socket.recv(262144)
        if not chunk:
            raise RuntimeError("the connection was closed")
        return chunk


def rate(server: Server, requests: list[bytes]) -> float:
    """Requests a second over all connections."""
    done: list[int] = []
    failed: list[Exception] = []
    until = time.perf_counter() + SECONDS

    def work(number: int) -> None:
        connection, count = Connection(server.port), 0
        try:
            while time.perf_counter() < until:
                connection.send(requests[(number * 37 + count) % len(requests)])
                count += 1
        except Exception as problem:
            failed.append(problem)
        done.append(count)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CONNECTIONS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return sum(done) / (time.perf_counter() - began)


def requests(server: Server) -> dict[str, list[bytes]]:
    """Each operation's; the table is made first, with what is read."""
    connection = Connection(server.port)
    table = {
        "TableName": "bench",
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in (("p", "S"), ("c", "N"))],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "c", "KeyType": "RANGE"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    connection.send(server.request("CreateTable", table))
    while b'"ACTIVE"' not in connection.send(server.request("DescribeTable", {"TableName": "bench"})):
        time.sleep(0.05)
    keys = [{"p": {"S": f"p{number % 10}"}, "c": {"N": str(number)}} for number in range(KEYS)]
    puts = [
        server.request("PutItem", {"TableName": "bench", "Item": {**key, "fill": {"S": "x" * 1000}, "n": {"N": "1.5"}}})
        for key in keys
    ]
    for put in puts:
        connection.send(put)
    query = {
        "TableName": "bench",
        "KeyConditionExpression": "p = :p AND c > :c",
        "ExpressionAttributeValues": {":p": {"S": "p3"}, ":c": {"N": "50"}},
        "Limit": 10,
    }
    found = json.loads(connection.send(server.request("Query", query)))
    assert [item["c"]["N"] for item in found["Items"]] == [str(n) for n in range(53, 153, 10)], found
    gets = [server.request("GetItem", {"TableName": "bench", "Key": key}) for key in keys]
    return {"put": puts, "get": gets, "query of 10": [server.request("Query", query)]}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def started(stack: ExitStack, argv: list[str], **options: Any) -> subprocess.Popen[str]:
    process = stack.enter_context(subprocess.Popen(argv, text=True, **options))
    stack.callback(process.terminate)
    return process


def peer(stack: ExitStack, name: str, argv: list[str], port: int) -> Server:
    started(stack, argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return Server(name, port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dynalite", default="")
    parser.add_argument("--moto", default="")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        process = started(stack, [sys.executable, "-c", SERVER, folder], stdout=subprocess.PIPE)
        assert process.stdout is not None
        port, key, secret = process.stdout.readline().split()
        servers = [Server("littoral", int(port), key, secret)]
        if given.dynalite:
            at = free_port()
            servers.append(peer(stack, "dynalite", [str(Path(given.dynalite).resolve()), "--port", str(at)], at))
        if given.moto:
            at = free_port()
            servers.append(peer(stack, "moto", [str(Path(given.moto).resolve()), "-p", str(at)], at))
        prepared = {server.name: requests(server) for server in servers}
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(ROUNDS):
            for operation in ("put", "get", "query of 10"):
                for server in servers:
                    found = rate(server, prepared[server.name][operation])
                    rates.setdefault((operation, server.name), []).append(found)
    for operation in ("put", "get", "query of 10"):
        own = statistics.median(rates[operation, "littoral"])
        for server in servers:
            median = statistics.median(rates[operation, server.name])
            print(f"{operation:<12} {server.name:<9} {median:>8.0f}/s  littoral is {own / median:.2f} times that")


if __name__ == "__main__":
    main()
