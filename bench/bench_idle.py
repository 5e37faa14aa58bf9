"""What an idle keep-alive connection costs the edge: 10,000 of them are opened, asked once each and held.

The server runs alone in a process; its resident memory (RSS) is read before and with all connections idle. TLS is at
2,000 connections of a process of its own. Prints KiB a connection. Ends within a minute; leaves no process.
"""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

GOAL = 16.0  # KiB
GET = (
    b"GET /page HTTP/1.1\r\nHost: d111111abcdef8.cloudfront.net\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    + (
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB\r\n"
        b"Accept-Encoding: gzip, deflate, br\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n"
    )
)

SERVER = """
import asyncio, sys, tempfile, uvloop
from dataclasses import replace
from pathlib import Path
from littoral.edge.guard import Guard
from littoral.net.listen import listen_http
from littoral.net.message import Response
from littoral.net.pki import Authority
from littoral.net.tls import server_context
from littoral.protocols.shield import ClientLimits, Shield
from littoral.site.settings import Settings
async def main():
    limits = replace(Settings().listener_limits(), max_connections=20_000)
    guard = Guard(Shield(ClientLimits(connections=20_000, connection_rate=1_000_000)), "BENCH1")
    tls = None
    if sys.argv[1] == "tls":
        with tempfile.TemporaryDirectory() as folder:
            issued = Authority.load_or_create(Path(folder), "bench").issue_server(["localhost"])
            tls = server_context((issued.certificate, issued.private_key))
    listener = await listen_http(
        guard.before(lambda request: Response(200, body=b"ok")), limits=limits, gate=guard, tls=tls)
    print(listener.port, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""


def resident(pid: int) -> float:
    """KiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return float(found[1])


def asked(port: int, context: ssl.SSLContext | None) -> socket.socket:
    one: socket.socket = socket.create_connection(("127.0.0.1", port))
    if context is not None:
        one = context.wrap_socket(one, server_hostname="localhost")
    one.sendall(GET)
    if not one.recv(4096).startswith(b"HTTP/1.1 200"):
        raise RuntimeError("the server did not answer")
    return one


def measure(kind: str, count: int) -> float:
    context = None
    if kind == "tls":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with subprocess.Popen([sys.executable, "-c", SERVER, kind], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            for _ in range(50):
                asked(port, context).close()
            before = resident(server.pid)
            held = [asked(port, context) for _ in range(count)]
            each = (resident(server.pid) - before) / count
            print(f"{kind:<4} {count:>6,} idle connections: {each:5.1f} KiB each", flush=True)
            for one in held:
                one.close()
        finally:
            server.terminate()
    return each


def main() -> int:
    plain = measure("tcp", 10_000)
    measure("tls", 2_000)
    print(f"goal: {GOAL:g} KiB each without TLS")
    return 0 if plain <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
