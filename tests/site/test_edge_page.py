"""The Terraform example of docs/edge.md, against a real place with a real origin."""

from __future__ import annotations

import http.client
import http.server
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Running
from .test_docs import DOCS
from .test_terraform import WHOLE, Terraform


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"api, mobile: {self.headers['CloudFront-Is-Mobile-Viewer']}".encode()
        failed = self.path.startswith("/api/down")
        self.send_response(503 if failed else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def ask(place: Running, host: str, path: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", place.port("edge"), timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def served(place: Running, host: str) -> None:
    deadline = time.monotonic() + 30
    while ask(place, host, "/")[0] != 200:
        assert time.monotonic() < deadline, "the distribution does not come to the edge"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_of_the_page(place: Running, tmp_path: Path, api: int) -> None:
    terraform = Terraform(place, tmp_path)
    (page,) = re.findall(r"```hcl\n(.*?)```", (DOCS / "edge.md").read_text(), re.DOTALL)
    page = page.replace("http://127.0.0.1:4566", place.api).replace("= 8000", f"= {api}")
    if not WHOLE:  # the provider's half a minute
        page = page.replace("wait_for_deployment = true", "wait_for_deployment = false")
    (tmp_path / "site.tf").write_text(page)
    s3, cloudfront = place.client("s3"), place.client("cloudfront")
    place.client("kinesis").create_stream(StreamName="shop-requests", ShardCount=1)
    s3.create_bucket(Bucket="shop")
    s3.put_object(Bucket="shop", Key="index.html", Body=b"<h1>Shop</h1>", ContentType="text/html")
    s3.put_object(Bucket="shop", Key="api/down", Body=b"from the bucket")

    terraform("init")
    terraform("apply", "-auto-approve")
    host = json.loads((tmp_path / "terraform.tfstate").read_text())["outputs"]["domain"]["value"]
    served(place, host)
    status, body, headers = ask(place, "shop.example.test", "/")
    assert (status, body, headers["x-shop"]) == (200, b"<h1>Shop</h1>", "littoral")
    assert headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    assert headers["server-timing"].startswith("cdn-cache-hit,")
    assert ask(place, host, "/api/x")[1] == b"api, mobile: false"
    assert ask(place, host, "/api/down")[1] == b"from the bucket"
    assert ask(place, host, "/nothing")[:2] == (200, b"<h1>Shop</h1>")
    terraform("plan", "-detailed-exitcode")  # 2 were "there is something to do"
    (found,) = cloudfront.list_distributions()["DistributionList"]["Items"]
    assert cloudfront.list_tags_for_resource(Resource=found["ARN"])["Tags"]["Items"] == [
        {"Key": "Team", "Value": "shop"}
    ]

    if WHOLE:
        changed = terraform("apply", "-auto-approve", comment="another")
        assert "0 added, 1 changed, 0 destroyed" in changed
        terraform("plan", "-detailed-exitcode", comment="another")
        terraform("destroy", "-auto-approve", comment="another")
        assert cloudfront.list_distributions()["DistributionList"]["Quantity"] == 0
        assert cloudfront.list_cache_policies(Type="custom")["CachePolicyList"]["Quantity"] == 0
        assert cloudfront.list_origin_access_controls()["OriginAccessControlList"]["Quantity"] == 0
        assert ask(place, host, "/")[0] == 403


def test_policies_and_identities_through_the_aws_cli(place: Running) -> None:
    query = "CachePolicyList.Items[].CachePolicy.CachePolicyConfig.Name"
    named = place.aws("cloudfront", "list-cache-policies", "--type", "managed", "--query", query, "--output", "text")
    assert "Managed-UseOriginCacheControlHeaders-QueryStrings" in named.split()
    own = {
        "Name": "cli",
        "CustomHeadersConfig": {"Quantity": 1, "Items": [{"Header": "X", "Value": "1", "Override": True}]},
    }
    made = json.loads(
        place.aws("cloudfront", "create-response-headers-policy", "--response-headers-policy-config", json.dumps(own))
    )
    identifier, etag = made["ResponseHeadersPolicy"]["Id"], made["ETag"]
    refused = place.aws("cloudfront", "delete-response-headers-policy", "--id", identifier, check=False)
    assert "InvalidIfMatchVersion" in refused
    place.aws("cloudfront", "delete-response-headers-policy", "--id", identifier, "--if-match", etag)
    wanted = "CallerReference=cli,Comment=shop"
    identity = place.aws(
        "cloudfront",
        "create-cloud-front-origin-access-identity",
        "--cloud-front-origin-access-identity-config",
        wanted,
        "--query",
        "CloudFrontOriginAccessIdentity.Id",
        "--output",
        "text",
    )
    assert identity.startswith("E")


def test_a_geo_database_that_cannot_be_read_keeps_the_place_from_starting(tmp_path: Path) -> None:
    argv = [Path(sys.executable).with_name("littoral"), "up", "--data-dir", tmp_path / "place", "--port", "0"]
    argv += ["--edge-port", "0", "--edge-tls-port", "off", "--mqtt-port", "off", "--mqtt-tls-port", "off"]
    missing = tmp_path / "missing.mmdb"
    done = subprocess.run([*argv, "--geo-database", missing], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert f"--geo-database: {missing}: No such file" in done.stderr
