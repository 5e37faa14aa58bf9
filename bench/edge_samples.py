"""Other people's Lambda@Edge functions, unchanged, on a real place.

    .venv/bin/python bench/edge_samples.py FOLDER

FOLDER holds what the user has fetched; what is not there is skipped, and said:

    lambda-examples.md                    of awsdocs/amazon-cloudfront-developer-guide (before it was archived)
    aws-lambda-edge-workshops/            aws-samples; labs 2 and 3 want DynamoDB, which is not here
    cloudfront-authorization-at-edge/     aws-samples, after `npm install --ignore-scripts && npx webpack`
    cocktail-bar/                         pmh-only, after `npm ci` in lambda/edge/cf-resizing

Each function is created, published and made a trigger by boto3; a request goes through the edge, and what comes of it
is compared with what the sample says that it does. Nothing of the samples is kept here. The last one wants the SDK that
Lambda brings: `npm install --prefix ~/.local/share/littoral/nodejs @aws-sdk/client-s3`.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import re
import struct
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from suites import place

ROLE = "arn:aws:iam::000000000000:role/any"
EVERYTHING, DISABLED = "33f36d7e-f396-46d9-90e0-52428a34d9dc", "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
PYTHON = f"python3.{sys.version_info.minor}"
BUCKETS = ("my-bucket", "my-bucket-in-eu-central-1", "blue-bucket", "plain-bucket")
RESIZED = "project-frontend20250121063308540100000002"  # the bucket that the sample names
CLIENT, POOL = "client1", "us-east-1_littoral"


@dataclass(frozen=True)
class Seen:
    """What the viewer got."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Case:
    name: str
    event: str
    expect: Callable[[Seen, list[Any]], bool]  # given also what the origin was asked meanwhile: (target, headers, body)
    path: str = "/page.html"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    origin: str = "custom"  # custom, failing, or a bucket
    country: str = ""  # that the viewer is in


# -------------------------------------------------------------------------------------- what the samples say they do


def asked(target: str) -> Callable[[Seen, list[Any]], bool]:
    return lambda seen, at: seen.status == 200 and [each[0] for each in at] == [target]


def redirected(location: str) -> Callable[[Seen, list[Any]], bool]:
    return lambda seen, _: seen.status == 302 and seen.headers.get("location") == location


def contains(text: bytes) -> Callable[[Seen, list[Any]], bool]:
    return lambda seen, _: seen.status == 200 and text in seen.body


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"}
COUNTRIES = {"DE": "127.0.0.2", "TW": "127.0.0.3"}  # in the database that the place is given
EXAMPLES = (
    Case(
        "a-b-testing",
        "viewer-request",
        asked("/experiment-group/treatment-pixel.jpg"),
        "/experiment-pixel.jpg",
        {"Cookie": "X-Experiment-Name=B"},
    ),
    Case(
        "overriding-response-header",
        "origin-response",
        lambda seen, _: seen.headers.get("last-modified") == "Mon, 23 Nov 2026 00:00:00 GMT",
    ),
    Case("static-web-server", "viewer-request", contains(b"Hello from Lambda@Edge!")),
    Case(
        "http-redirect", "viewer-request", lambda seen, at: seen.status == 302 and "lambda-edge" in str(seen) and not at
    ),
    Case(
        "header-based-on-query-string",
        "origin-request",
        lambda seen, at: at[0][1].get("auth-header") == "me" and "auth=" not in at[0][0],
        "/page.html?auth=me&x=1",
    ),
    Case("normalize-query-string-parameters", "viewer-request", asked("/p?a=1&b=2"), "/p?B=2&A=1"),
    Case(
        "redirect-to-signin-page",
        "viewer-request",
        lambda seen, _: seen.status == 302 and seen.headers["location"].startswith("https://www.example.com/signin?"),
    ),
    Case(
        "redirect-based-on-country",
        "origin-request",
        redirected("https://tw.example.com/"),
        country="TW",
    ),
    Case("vary-on-device-type", "origin-request", asked("/mobile/p"), "/p", PHONE),
    Case(
        "content-based-S3-origin-based-on-query",
        "origin-request",
        lambda seen, _: b"/my-bucket/key" in seen.body,  # unsigned, as it says, so that a private bucket refuses
        "/key?useS3Origin=true",
    ),
    Case(
        "content-based-S3-origin-request-trigger",
        "origin-request",
        contains(b"in my-bucket-in-eu-central-1"),
        "/key",
        country="DE",
        origin="plain-bucket",
    ),
    Case(
        "content-based-custom-origin-request-trigger",
        "origin-request",
        lambda seen, at: seen.status == 502 and not at,  # its origin is www.example.com, which nothing here reaches
        "/key?useCustomOrigin=true",
        origin="plain-bucket",
    ),
    Case(
        "content-based-gradual-traffic-transfer",
        "origin-request",
        contains(b"in "),  # blue-bucket, or the one it was
        "/key",
        origin="plain-bucket",
    ),
    Case(
        "content-based-geo-header",
        "origin-request",
        lambda seen, at: seen.status == 502 and not at,
        "/key",
        country="DE",
    ),
    Case("custom-error-static-body", "origin-response", contains(b"Body generation example"), origin="failing"),
    Case("custom-error-new-site", "origin-response", redirected("/plan-b/path?a=1"), "/p?a=1", origin="failing"),
    Case(
        "access-request-body-examples-read",
        "viewer-request",
        lambda seen, at: at[0][2] == b"name1=a&name2=b",
        "/form",
        FORM,
        b"name1=a&name2=b",
    ),
    Case(
        "access-request-body-examples-replace",
        "origin-request",
        lambda seen, at: at[0][2] == b"name1=a&name2=b&new-param-name=new-param-value",
        "/form",
        FORM,
        b"name1=a&name2=b",
    ),
)
LABS = (
    (
        "Lab1_Security/ws-lambda-at-edge-add-security-headers.js",
        Case("security headers", "origin-response", lambda seen, _: seen.headers.get("x-frame-options") == "DENY"),
    ),
    (
        "Lab4_PrettyUrls/ws-lambda-at-edge-redirect.js",
        Case("pretty URLs", "origin-request", redirected("/card/da8398f4"), "/r/tree"),
    ),
    (
        "Lab5_Customization/ws-lambda-at-edge-customize-css.js",
        Case(
            "customised CSS",
            "origin-request",
            asked("/css/mobile/a.css"),
            "/css/a.css",
            PHONE,
        ),
    ),
)


# ------------------------------------------------------------------------------------------------ the samples' code

Sample = tuple[str, str, bytes, Case]  # title, runtime, zip, case


def zipped(**files: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def documented(folder: Path) -> Iterator[Sample]:
    """The developer guide's examples, each in both languages."""
    text = (folder / "lambda-examples.md").read_text()
    for case in EXAMPLES:
        section = text.split(f'<a name="lambda-examples-{case.name}"></a>', 1)[1].split("\n### ")[0].split("\n## ")[0]
        for language, runtime, file, entry in (
            ("Node\\.js", "nodejs20.x", "index__js", "handler"),
            ("Python", PYTHON, "index__py", "lambda_handler"),
        ):
            code = section.split(f"#### [ {language} ]", 1)[1].split("```\n", 1)[1].split("\n```", 1)[0]
            if entry == "lambda_handler":
                code += "\nhandler = lambda_handler\n"  # the name that the trigger asks for
            yield f"guide: {case.name}, {runtime}", runtime, zipped(**{file: code}), case


def labs(folder: Path) -> Iterator[Sample]:
    for file, case in LABS:
        code = (folder / "aws-lambda-edge-workshops" / "Workshop1" / file).read_bytes()
        yield f"workshop: {case.name}", "nodejs20.x", zipped(index__js=code), case


def authorization(folder: Path) -> Iterator[Sample]:
    key = rsa.generate_private_key(65537, 2048)
    config = json.dumps(_cognito(key))
    source = folder / "cloudfront-authorization-at-edge" / "src" / "lambda-edge"

    def bundle(name: str) -> bytes:
        return zipped(index__js=(source / name / "bundle.js").read_bytes(), configuration__json=config)

    prefix = f"CognitoIdentityServiceProvider.{CLIENT}"
    cookies = f"{prefix}.LastAuthUser=ann; {prefix}.ann.idToken={_id_token(key)}"
    check = bundle("check-auth")
    login = "https://auth.example.test/oauth2/authorize"
    strangers = Case("sign in first", "viewer-request", lambda seen, _: seen.headers["location"].startswith(login))
    known = Case("signed in", "viewer-request", asked("/page.html"), headers={"Cookie": cookies})
    index = Case("trailing slash", "origin-request", asked("/a/index.html"), "/a/")
    leave = Case(
        "sign out",
        "viewer-request",
        lambda seen, _: seen.status == 307 and "logout" in seen.headers["location"],
        "/signout",
        {"Cookie": cookies},
    )
    secure = Case("headers", "origin-response", lambda seen, _: seen.headers.get("x-frame-options") == "DENY")
    for name, case, code in (
        ("check-auth", strangers, check),
        ("check-auth", known, check),
        ("rewrite-trailing-slash", index, bundle("rewrite-trailing-slash")),
        ("sign-out", leave, bundle("sign-out")),
        ("http-headers", secure, bundle("http-headers")),
    ):
        yield f"authorization@edge: {name}, {case.name}", "nodejs20.x", code, case


def resizing(folder: Path) -> Iterator[Sample]:
    """An image of 64 by 32 points is asked for with a width of 16."""
    source = folder / "cocktail-bar" / "lambda" / "edge" / "cf-resizing"
    if not source.is_dir():
        raise FileNotFoundError(source)
    files = [path for path in source.rglob("*") if path.is_file()]
    code = zipped(**{str(path.relative_to(source)): path.read_bytes() for path in files})

    def smaller(seen: Seen, _: list[Any]) -> bool:
        return seen.status == 200 and struct.unpack(">II", seen.body[16:24]) == (16, 8)

    yield (
        "image resize with sharp",
        "nodejs20.x",
        code,
        Case("resize", "origin-request", smaller, "/images/a.png?width=16"),
    )


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _cognito(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    number = key.public_key().public_numbers().n
    jwk = {"kid": "k1", "alg": "RS256", "kty": "RSA", "use": "sig", "e": "AQAB", "n": _b64(number.to_bytes(256, "big"))}
    return {
        "logLevel": "info",
        "userPoolArn": f"arn:aws:cognito-idp:us-east-1:000000000000:userpool/{POOL}",
        "jwks": {"keys": [jwk]},
        "clientId": CLIENT,
        "clientSecret": "",
        "oauthScopes": ["openid"],
        "cognitoAuthDomain": "auth.example.test",
        "redirectPathSignIn": "/parseauth",
        "redirectPathSignOut": "/",
        "signOutUrl": "/signout",
        "redirectPathAuthRefresh": "/refreshauth",
        "cookieSettings": None,
        "mode": "spaMode",
        "httpHeaders": {"X-Frame-Options": "DENY"},
        "nonceSigningSecret": "a secret of this run only",
        "cookieCompatibility": "amplify",
        "additionalCookies": {},
        "requiredGroup": "",
    }


def _id_token(key: rsa.RSAPrivateKey) -> str:
    claims = {"iss": f"https://cognito-idp.us-east-1.amazonaws.com/{POOL}", "aud": CLIENT, "token_use": "id"}
    claims |= {"exp": int(time.time()) + 3600, "cognito:username": "ann", "sub": "ann"}  # type: ignore[dict-item]
    signed = ".".join(_b64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "k1"}, claims))
    return f"{signed}.{_b64(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def image() -> bytes:
    """A PNG of 64 by 32 points."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + b"\x20\x80\xc0" * 64 for _ in range(32)))
    head = struct.pack(">IIBBBBB", 64, 32, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


# --------------------------------------------------------------------------------------------------- origin and place


class Origin(ThreadingHTTPServer):
    """Notes what it is asked; paths below /failing are 404."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Answering)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Answering(BaseHTTPRequestHandler):
    server: Origin

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(404 if self.path.startswith("/failing") else 200)
        self.send_header("X-Amz-Meta-Last-Modified", "Mon, 23 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"origin")

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


def countries(path: Path) -> None:
    made = MMDBWriter(ip_version=4, database_type="Country")
    for code, address in COUNTRIES.items():
        made.insert_network(IPSet([address]), {"country": {"iso_code": code, "names": {"en": code}}})
    made.to_db_file(str(path))


class Trial:
    def __init__(self, stack: ExitStack, folder: Path) -> None:
        database = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "countries.mmdb"
        countries(database)
        urls, key, secret = place(stack, folder, "--geo-database", str(database))
        self.edge = urls["edge"]
        options: Any = {"endpoint_url": urls["api"], "region_name": "us-east-1"}
        options |= {"aws_access_key_id": key, "aws_secret_access_key": secret}
        self.lambdas, self.cloudfront = boto3.client("lambda", **options), boto3.client("cloudfront", **options)
        s3 = boto3.client("s3", **options)
        for bucket in (*BUCKETS, RESIZED):
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key="key", Body=f"in {bucket}".encode())
        s3.put_object(Bucket=RESIZED, Key="images/a.png", Body=image(), ContentType="image/png")
        control = {"Name": "samples", "SigningProtocol": "sigv4", "SigningBehavior": "always"}
        control["OriginAccessControlOriginType"] = "s3"
        made = self.cloudfront.create_origin_access_control(OriginAccessControlConfig=control)
        self.control = made["OriginAccessControl"]["Id"]
        self.origin = Origin()
        stack.callback(self.origin.shutdown)

    def publish(self, number: int, runtime: str, code: bytes, event: str) -> str:
        timeout, memory = (5, 128) if event.startswith("viewer") else (30, 512)
        name = f"sample{number}"
        self.lambdas.create_function(
            FunctionName=name,
            Runtime=runtime,
            Role=ROLE,
            Handler="index.handler",
            Timeout=timeout,
            MemorySize=memory,
            Code={"ZipFile": code},
        )
        self.lambdas.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        return str(self.lambdas.publish_version(FunctionName=name)["FunctionArn"])

    def distribute(self, number: int, case: Case, arn: str) -> str:
        """The host name of a distribution whose one behaviour has the trigger."""
        host = f"sample{number}.example.test"
        trigger = {"EventType": case.event, "LambdaFunctionARN": arn, "IncludeBody": case.event.endswith("request")}
        methods = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
        made = self.cloudfront.create_distribution(
            DistributionConfig={
                "CallerReference": host,
                "Comment": "",
                "Enabled": True,
                "Aliases": {"Quantity": 1, "Items": [host]},
                "Origins": {"Quantity": 1, "Items": [self._origin(case.origin)]},
                "DefaultCacheBehavior": {
                    "TargetOriginId": "o",
                    "ViewerProtocolPolicy": "allow-all",
                    "CachePolicyId": DISABLED,
                    "OriginRequestPolicyId": EVERYTHING,
                    "AllowedMethods": {"Quantity": 7, "Items": methods},
                    "LambdaFunctionAssociations": {"Quantity": 1, "Items": [trigger]},
                },
            }
        )["Distribution"]
        while self.cloudfront.get_distribution(Id=made["Id"])["Distribution"]["Status"] != "Deployed":
            time.sleep(0.05)
        return host

    def _origin(self, kind: str) -> dict[str, Any]:
        if kind in BUCKETS:
            domain = f"{kind}.s3.us-east-1.amazonaws.com"
            config = {"OriginAccessIdentity": ""}
            return {"Id": "o", "DomainName": domain, "S3OriginConfig": config, "OriginAccessControlId": self.control}
        custom = {"HTTPPort": self.origin.server_port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
        path = "/failing" if kind == "failing" else ""
        return {"Id": "o", "DomainName": "127.0.0.1", "OriginPath": path, "CustomOriginConfig": custom}

    def ask(self, host: str, case: Case) -> tuple[Seen, list[Any]]:
        self.origin.asked.clear()
        address = re.sub(r"^https?://|/$", "", self.edge)
        source = (COUNTRIES.get(case.country, "127.0.0.1"), 0)
        connection = http.client.HTTPConnection(address, timeout=40, source_address=source)
        connection.request("GET" if case.body is None else "POST", case.path, case.body, {"Host": host, **case.headers})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        seen = Seen(answer.status, headers, answer.read())
        connection.close()
        return seen, list(self.origin.asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the samples lie")
    given = parser.parse_args()
    samples: list[Sample] = []
    for group in (documented, labs, authorization, resizing):
        try:
            samples += group(given.folder)
        except OSError as missing:
            print(f"skipped: {missing}")
    passed = 0
    with ExitStack() as stack:
        trial = Trial(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())) / "place")
        for number, (title, runtime, code, case) in enumerate(samples):
            host = trial.distribute(number, case, trial.publish(number, runtime, code, case.event))
            seen, asked_for = trial.ask(host, case)
            good = case.expect(seen, asked_for)
            passed += good
            shown = "" if good else f"{seen} {asked_for}"[:600]
            print(f"{'ok    ' if good else 'FAILED'} {title} {shown}", flush=True)
    print(f"{passed} of {len(samples)} samples do what they say, unchanged")
    sys.exit(passed != len(samples))


if __name__ == "__main__":
    main()
