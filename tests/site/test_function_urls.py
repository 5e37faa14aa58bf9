"""Function URLs of a real place: curl finds them by name, and a URL for the account's own wants a signature."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import zipfile
from http.client import HTTPConnection, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .conftest import ROLE, Running, needs


def make(
    place: Running, name: str, source: str, auth_type: str, runtime: str = "python3.11", mode: str = "BUFFERED"
) -> tuple[Any, str]:
    client = place.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py" if runtime.startswith("python") else "app.js", source)
    client.create_function(
        FunctionName=name, Runtime=runtime, Role=ROLE, Handler="app.handler", Code={"ZipFile": code.getvalue()}
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    made = client.create_function_url_config(FunctionName=name, AuthType=auth_type, InvokeMode=mode)
    return client, made["FunctionUrl"]


def let_in(client: Any, name: str) -> None:
    client.add_permission(
        FunctionName=name,
        StatementId="all",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )


def test_curl_reaches_a_public_url_by_its_name(place: Running) -> None:
    client, url = make(place, "public", "def handler(e, c): return [e['body'], e['cookies']]", "NONE")
    curl = [needs("curl"), "-sS", "--max-time", "30", "-b", "a=1", "-H", "Content-Type: text/plain", "-d", "hello", url]
    refused = subprocess.run(curl, capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(refused) == {"Message": "Forbidden"}
    let_in(client, "public")
    answer = subprocess.run(curl, capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(answer) == ["hello", ["a=1"]]
    path = subprocess.run([*curl[:-1], f"{url}metrics"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(path) == ["hello", ["a=1"]]  # the function's, not the place's


def test_a_url_for_the_account_wants_a_signature(place: Running) -> None:
    _, url = make(
        place, "own", "def handler(e, c): return e['requestContext']['authorizer']['iam']['accessKey']", "AWS_IAM"
    )
    parts = urlsplit(url)

    def send(secret: str | None, body: bytes = b"{}") -> tuple[int, bytes]:
        request = AWSRequest("POST", url, data=b"{}", headers={"Host": parts.netloc})
        if secret is not None:
            SigV4Auth(Credentials(place.access_key, secret), "lambda", "us-east-1").add_auth(request)
        connection = HTTPConnection("127.0.0.1", parts.port or 80, timeout=30)
        connection.request("POST", "/", body, dict(request.headers.items()))
        response = connection.getresponse()
        return response.status, response.read()

    forbidden = (403, b'{"Message": "Forbidden"}')
    assert send(None) == forbidden
    assert send("wrong") == forbidden
    assert send(place.secret_key, b"[]") == forbidden  # not what was signed
    assert send(place.secret_key) == (200, place.access_key.encode())


IN_TWO = """
const net = require('net');
exports.handler = awslambda.streamifyResponse(async (event, response) => {
  const prelude = { statusCode: 201, headers: { 'content-type': 'text/plain' } };
  const http = awslambda.HttpResponseStream.from(response, prelude);
  http.write('first,');
  const line = net.connect(Number(event.rawQueryString), '127.0.0.1');
  await new Promise((resolve) => line.once('data', resolve));
  line.destroy();
  if (event.rawPath === '/fails') throw new Error('half way');
  http.end('second');
});
"""


def test_a_streamed_answer_arrives_while_it_is_made(place: Running) -> None:
    client, url = make(place, "streamed", IN_TWO, "NONE", "nodejs20.x", "RESPONSE_STREAM")
    let_in(client, "streamed")
    parts = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as meeting:
        for path in ("/", "/fails"):
            connection = HTTPConnection("127.0.0.1", parts.port or 80, timeout=30)
            connection.request("GET", f"{path}?{meeting.getsockname()[1]}", headers={"Host": parts.netloc})
            response = connection.getresponse()
            assert (response.status, response.headers["content-type"]) == (201, "text/plain")
            assert response.read(6) == b"first,"
            met, _ = meeting.accept()
            with met:
                met.sendall(b"x")
                if path == "/":
                    assert response.read() == b"second"
                else:
                    with pytest.raises(IncompleteRead):  # no last chunk: the caller knows that it is not whole
                        response.read()
            connection.close()
