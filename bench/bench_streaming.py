"""Streamed responses: a function URL with RESPONSE_STREAM against a plain Node.js HTTP server that says the same.

    .venv/bin/python bench/bench_streaming.py

The function runs in its sandbox and its pieces go through the place; the peer writes straight to the caller. Both write
64 KiB pieces and wait for ``drain``. Time to the first byte of the body, and megabytes a second of a long one.
"""

from __future__ import annotations

import json
import logging
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import boto3

import bench_functions

WRITE = """
const piece = Buffer.alloc(65536, 'x');
async function say(response, pieces) {
  for (let i = 0; i < pieces; i++) if (!response.write(piece)) await new Promise((go) => response.once('drain', go));
  response.end();
}
"""
HANDLER = WRITE + "exports.handler = awslambda.streamifyResponse((event, to) => say(to, Number(event.rawQueryString)));"
SERVER = (
    WRITE
    + "const server = require('http').createServer((asked, to) => say(to, Number(asked.url.split('?')[1])));"
    + "server.listen(0, '127.0.0.1', () => console.log(server.address().port));"
)
LONG = 1024  # pieces: 64 MiB


def deploy(port: int, key: str, secret: str) -> str:
    """The host name of the function's URL."""
    client = boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    client.create_function(
        FunctionName="say",
        Runtime="nodejs20.x",
        Role="arn:aws:iam::000000000000:role/bench",
        Handler="index.handler",
        Code={"ZipFile": bench_functions.zip_of("index.js", HANDLER)},
        Timeout=60,
    )
    client.add_permission(
        FunctionName="say",
        StatementId="all",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    url = client.create_function_url_config(FunctionName="say", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    return str(url["FunctionUrl"]).split("/")[2]


def ask(port: int, host: str, pieces: int) -> tuple[float, float]:
    """Seconds to the first byte of the body, and to the last."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        began = time.perf_counter()
        line.sendall(f"GET /?{pieces} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        first, size = 0.0, 0
        while data := line.recv(1 << 18):
            size += len(data)
            if not first and size > 1024:
                first = time.perf_counter() - began
    if size < pieces * 65536:
        raise RuntimeError(f"{size} bytes of {pieces} pieces")
    return first, time.perf_counter() - began


def measure(port: int, host: str) -> tuple[float, float]:
    """Median seconds to the first byte, and the best of five rates of a long answer in MB/s."""
    ask(port, host, 1)
    first = statistics.median(ask(port, host, 1)[0] for _ in range(200))
    return first, LONG * 65536 / 1e6 / min(ask(port, host, LONG)[1] for _ in range(5))


def main() -> None:
    logging.disable(logging.WARNING)
    node = shutil.which("node")
    if node is None:
        sys.exit("no node on PATH: there is no peer and no function to measure")
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([node, "-e", SERVER], stdout=subprocess.PIPE) as peer,
        subprocess.Popen(
            [sys.executable, bench_functions.__file__, "--serve", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as server,
    ):
        assert peer.stdout is not None and server.stdout is not None and server.stdin is not None
        port, key, secret = json.loads(server.stdout.readline())
        theirs = measure(int(peer.stdout.readline()), "localhost")
        ours = measure(port, deploy(port, key, secret))
        peer.kill()
        server.stdin.close()
    print(
        f"first byte  function {ours[0] * 1e3:6.2f} ms  node {theirs[0] * 1e3:6.2f} ms  {ours[0] / theirs[0]:.2f} times"
    )
    print(f"64 MiB      function {ours[1]:6.0f} MB/s node {theirs[1]:6.0f} MB/s  ratio {ours[1] / theirs[1]:.2f}")


if __name__ == "__main__":
    main()
