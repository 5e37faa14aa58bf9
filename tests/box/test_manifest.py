"""A manifest and its code: neither opens anything alone, and nothing can be exchanged in it."""

from __future__ import annotations

import json

import pytest

from littoral.box.manifest import BadManifest, WrongCode, envelope, is_code, new_code, open_manifest
from littoral.net.pki import Authority
from tests.box.manifests import JOB, issue


def test_a_manifest_and_its_code_give_what_was_sealed() -> None:
    issued = issue()
    assert open_manifest(issued.file, issued.code) == issued.manifest


def test_without_its_code_a_manifest_shows_its_job_and_its_issuer_only() -> None:
    region = Authority.create("Littoral region")
    issued = issue(region=region)
    outside = envelope(issued.file)
    assert (outside.job, outside.issuer) == (JOB, region.certificate_pem.decode())
    held = issued.manifest
    for secret in (held.secret_key, held.access_key, held.authority_key[40:90], "pictures"):
        assert secret.encode() not in issued.file


def test_a_code_looks_as_aws_has_it_and_is_never_the_same() -> None:
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100
    assert {len(code) for code in codes} == {29}
    assert all(is_code(code) for code in codes)
    assert not any(is_code(text) for text in ("", "abcde-abcde-abcde-abcde", "ABCDE-abcde-abcde-abcde-abcde", "-" * 29))


@pytest.mark.parametrize("code", ["", "abcde-abcde-abcde-abcde-abcde", "x" * 29])
def test_a_wrong_code_is_said_to_be_wrong(code: str) -> None:
    with pytest.raises(WrongCode):
        open_manifest(issue().file, code)


def test_the_code_of_another_manifest_opens_nothing() -> None:
    with pytest.raises(WrongCode):
        open_manifest(issue().file, issue().code)


@pytest.mark.parametrize("member", ["document", "issuer", "signature"])
def test_no_part_can_be_exchanged(member: str) -> None:
    one, other = issue(), issue()
    mixed = json.loads(one.file) | {member: json.loads(other.file)[member]}
    with pytest.raises(BadManifest, match="signature"):
        envelope(json.dumps(mixed).encode())


def test_a_change_of_the_job_is_noticed_though_it_is_signed_again() -> None:
    region = Authority.create("Littoral region")
    issued = issue(region=region)
    outer = json.loads(issued.file)
    outer["document"] = outer["document"].replace(JOB, JOB.replace("0123", "9999"))
    with pytest.raises(BadManifest):
        envelope(json.dumps(outer).encode())
    from littoral.box.manifest import _text

    outer["signature"] = _text(region.sign(outer["document"].encode()))
    with pytest.raises(WrongCode):
        open_manifest(json.dumps(outer).encode(), issued.code)


@pytest.mark.parametrize(
    "file", [b"", b"{}", b"[]", b"null", b"\xff", b'{"document": 1, "issuer": "x", "signature": "y"}', b"[" * 5000]
)
def test_what_is_no_manifest_is_said_to_be_none(file: bytes) -> None:
    with pytest.raises(BadManifest):
        envelope(file)


def test_no_manifest_can_ask_for_all_memory() -> None:
    region = Authority.create("Littoral region")
    outer = json.loads(issue(region=region).file)
    from littoral.box.manifest import _text

    outer["document"] = json.dumps(json.loads(outer["document"]) | {"cost": 2**30})
    outer["signature"] = _text(region.sign(outer["document"].encode()))
    with pytest.raises(BadManifest):
        envelope(json.dumps(outer).encode())


def test_keys_do_not_reach_a_log() -> None:
    manifest = issue().manifest
    assert manifest.secret_key not in f"{manifest!r} {manifest}"
