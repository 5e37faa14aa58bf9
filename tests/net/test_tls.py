"""TLS: certificates by name, client certificates, the private CA, and one port for two protocols."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
import ssl
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from littoral.net.client import ConnectFailed, HttpClient, RequestFailed
from littoral.net.firstbyte import FirstByte, is_http
from littoral.net.listen import http_service, listen_stream
from littoral.net.message import BodyError, FileSlice, Headers, Proof, Request, Response
from littoral.net.pki import Authority, InvalidRequest, Issued, certificate_id
from littoral.net.tls import Pair, client_context, plain_server_context, server_context
from tests.net.wire import serving, wire


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.load_or_create(tmp_path_factory.mktemp("ca"), "Test CA")


def pair(issued: Issued) -> Pair:
    return issued.certificate, issued.private_key


def der(issued: Issued) -> bytes:
    return x509.load_pem_x509_certificate(issued.certificate).public_bytes(serialization.Encoding.DER)


def tell(request: Request) -> Response:
    peer = request.peer
    who = hashlib.sha256(peer.certificate).hexdigest() if peer.certificate else "nobody"
    return Response(200, Headers.of([("X-Name", str(peer.server_name)), ("X-Who", who)]), b"y" * 200_000)


async def ask(http: HttpClient, port: int, context: ssl.SSLContext, name: str = "localhost") -> tuple[str, str]:
    address = ("127.0.0.1", port)
    async with await http.request("GET", f"https://{name}:{port}/", tls=context, address=address) as response:
        assert len(await response.body.read()) == 200_000
        return response.headers.get("x-name") or "", response.headers.get("x-who") or ""


async def test_names_choose_certificates_even_while_running(authority: Authority) -> None:
    names = {
        "one.test": plain_server_context(pair(authority.issue_server(["one.test"]))),
        "*.wild.test": plain_server_context(pair(authority.issue_server(["*.wild.test"]))),
    }
    context = server_context(pair(authority.issue_server(["localhost", "127.0.0.1"])), names=names)
    http, trust = HttpClient(), client_context(ca=authority.certificate_pem)
    async with serving(tell, tls=context) as listener:
        for name in ("localhost", "one.test", "ONE.test", "a.wild.test"):
            seen, who = await ask(http, listener.port, trust, name)
            assert (seen.lower(), who) == (name.lower(), "nobody")
        with pytest.raises(ConnectFailed, match="certificate"):
            await ask(http, listener.port, trust, "later.test")
        names["later.test"] = plain_server_context(pair(authority.issue_server(["later.test"])))
        assert (await ask(http, listener.port, trust, "later.test"))[0] == "later.test"
        with pytest.raises(ConnectFailed):
            await ask(http, listener.port, client_context(), "one.test")
        assert (await ask(http, listener.port, client_context(verify=False), "unknown.test"))[0] == "unknown.test"
        await http.close()


async def test_client_certificates_are_told_to_the_handler(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.load_or_create(tmp_path, "Stranger")
    mine, foreign = authority.issue_client("thing"), stranger.issue_client("thing")
    server = pair(authority.issue_server(["localhost"]))
    optional = server_context(server, client_cas=[authority.certificate_pem], clients="optional")
    required = server_context(server, client_cas=[authority.certificate_pem], clients="required")
    ca = authority.certificate_pem
    http = HttpClient()
    async with serving(tell, tls=optional) as listener:
        _, who = await ask(http, listener.port, client_context(ca=ca, pair=pair(mine)))
        assert who == mine.certificate_id == hashlib.sha256(der(mine)).hexdigest()
        assert await ask(http, listener.port, client_context(ca=ca)) == ("localhost", "nobody")
        with pytest.raises(RequestFailed):
            await ask(http, listener.port, client_context(ca=ca, pair=pair(foreign)))
        ended = authority.issue_client("thing", days=0)
        with pytest.raises(RequestFailed):
            await ask(http, listener.port, client_context(ca=ca, pair=pair(ended)))
    async with serving(tell, tls=required) as listener:
        assert (await ask(http, listener.port, client_context(ca=ca, pair=pair(mine))))[1] == mine.certificate_id
        with pytest.raises(RequestFailed):
            await ask(http, listener.port, client_context(ca=ca))
    await http.close()


def test_nothing_older_than_tls_1_2_and_no_unverified_server(authority: Authority) -> None:
    server = pair(authority.issue_server(["localhost"]))
    contexts = [server_context(server), plain_server_context(server), client_context(), client_context(ca=server[0])]
    assert {context.minimum_version for context in contexts} == {ssl.TLSVersion.TLSv1_2}
    assert {(context.verify_mode, context.check_hostname) for context in contexts[2:]} == {(ssl.CERT_REQUIRED, True)}


async def test_files_go_over_tls_whole(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(2_000_003))
    context = server_context(pair(authority.issue_server(["localhost"])))
    trust = client_context(ca=authority.certificate_pem)
    http = HttpClient()
    async with serving(lambda _: Response(200, body=FileSlice(path, 3, 2_000_000)), tls=context) as listener:
        response = await http.request("GET", f"https://localhost:{listener.port}/", tls=trust)
        assert await response.body.read() == path.read_bytes()[3:]
        await http.close()


async def test_files_with_a_proof_go_over_tls_as_far_as_they_are_sound(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = os.urandom(500_000)
    path.write_bytes(content)
    proof = Proof(100_000, lambda number, block: block == content[number * 100_000 : (number + 1) * 100_000])
    context = server_context(pair(authority.issue_server(["localhost"])))
    trust = client_context(ca=authority.certificate_pem)
    http = HttpClient()
    part = FileSlice(path, 150_000, 340_000, proof)
    async with serving(lambda _: Response(200, body=part), tls=context) as listener:
        response = await http.request("GET", f"https://localhost:{listener.port}/", tls=trust)
        assert await response.body.read() == content[150_000:490_000]
        path.write_bytes(content[:300_000] + bytes([content[300_000] ^ 1]) + content[300_001:])
        response = await http.request("GET", f"https://localhost:{listener.port}/", tls=trust)
        with pytest.raises(BodyError):
            await response.body.read()
        await http.close()


class Reverse(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.transport.write(data[::-1])


@pytest.mark.parametrize("secure", [False, True])
async def test_the_first_byte_chooses_the_protocol(authority: Authority, secure: bool) -> None:
    service = http_service(lambda request: Response(200, body=b"http"))

    def choose(byte: int) -> object:
        return service.connection if is_http(byte) else Reverse if byte == 0x10 else None

    tls = server_context(pair(authority.issue_server(["localhost"]))) if secure else None
    options: dict[str, object] = {}
    if secure:
        options = {"ssl": client_context(ca=authority.certificate_pem), "server_hostname": "localhost"}
    listener = await listen_stream(lambda: FirstByte(choose), "127.0.0.1", 0, tls)  # type: ignore[arg-type]
    try:
        async with wire(listener.port, **options) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.reply()).body == b"http"
        async with wire(listener.port, **options) as client:
            client.send(b"\x10abc")
            assert await client.reader.readexactly(4) == b"cba\x10"
        async with wire(listener.port, **options) as client:
            client.send(b"\x00")
            assert await client.ended()
    finally:
        await listener.close()
        await service.close(0)


async def test_a_silent_client_is_cut() -> None:
    listener = await listen_stream(lambda: FirstByte(lambda byte: Reverse, timeout=0.05))
    async with wire(listener.port) as client:
        assert await client.ended()
    await listener.close()


# ------------------------------------------------------------------------------------------------------- CA


def extensions(certificate: x509.Certificate) -> Sequence[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def test_the_authority_is_kept_and_its_key_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    made = Authority.load_or_create(folder, "Littoral")
    again = Authority.load_or_create(folder, "another name")
    assert again.certificate_pem == made.certificate_pem
    assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    issued = again.issue_server(["a.test", "10.0.0.1", "::1"])
    certificate = x509.load_pem_x509_certificate(issued.certificate)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(made.certificate_pem))
    assert extensions(certificate) == ["a.test", "10.0.0.1", "::1"]
    assert certificate_id(certificate) == issued.certificate_id == certificate_id(der(issued))


def request_for(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("ahead", [datetime.timedelta(days=9000), datetime.timedelta(days=-30)])
def test_no_certificate_is_over_because_the_clock_is_behind_its_authority(ahead: datetime.timedelta) -> None:
    """To an authority of tomorrow this machine's clock is one without a battery."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "later")])
    since, until = now + ahead, now + ahead + datetime.timedelta(days=9000)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, since, until)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = Authority(builder.sign(key, hashes.SHA256()), key).issue_server(["localhost"], days=10)
    found = x509.load_pem_x509_certificate(made.certificate)
    begins = max(now, since)
    assert begins - datetime.timedelta(days=1) <= found.not_valid_before_utc <= begins + datetime.timedelta(minutes=5)
    lasts = found.not_valid_after_utc - begins
    assert datetime.timedelta(days=10) <= lasts <= datetime.timedelta(days=10, minutes=5)


def test_signing_requests(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.sign_csr(request_for(key))
    certificate = x509.load_pem_x509_certificate(issued.certificate)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=device"
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    weak = rsa.generate_private_key(65537, 1024)
    good = request_for(key)
    tampered = good.replace(good[100:104], b"AAAA")
    for bad in (
        b"",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        tampered,
        request_for(weak),
    ):
        with pytest.raises(InvalidRequest):
            authority.sign_csr(bad)
