"""The aws-chunked coding: any split gives the same content, and nothing is taken that its signatures do not cover."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.awschunked import MAX_LINE, BadChunkSignature, Decoder, MalformedChunk


def chunk_signature(digest: str, _previous: str = "") -> str:
    return hashlib.sha256(f"key {digest}".encode()).hexdigest()


def verify_chunk(digest: str, given_signature: str) -> bool:
    return chunk_signature(digest) == given_signature


def verify_trailer(text: bytes, given_signature: str) -> bool:
    return hashlib.sha256(b"key " + text).hexdigest() == given_signature


def signed_stream(chunks: list[bytes], trailer: bytes | None = None) -> bytes:
    """Chunks signed one by one, then the trailer with its signature where there is one."""
    body = b""
    for chunk in [*chunks, b""]:
        signature = chunk_signature(hashlib.sha256(chunk).hexdigest())
        body += f"{len(chunk):X};chunk-signature={signature}\r\n".encode() + (chunk + b"\r\n" if chunk else b"")
    if trailer is not None:
        signature = hashlib.sha256(b"key " + trailer).hexdigest()
        body += trailer.replace(b"\n", b"\r\n") + f"x-amz-trailer-signature:{signature}\r\n".encode()
    return body + b"\r\n"


def decoded(decoder: Decoder, pieces: list[bytes]) -> bytes:
    found = b"".join(b"".join(decoder.feed(piece)) for piece in pieces)
    decoder.finish()
    return found


def cut(body: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(body), *(place % (len(body) + 1) for place in at)})
    return [body[low:high] for low, high in itertools.pairwise(places)]


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=5),
    st.lists(st.integers(0, 5000), max_size=30),
    st.booleans(),
)
def test_any_split_of_a_signed_stream_gives_the_same_bytes(chunks: list[bytes], at: list[int], trailing: bool) -> None:
    body = signed_stream(chunks, b"x-amz-checksum-crc32:AAAA\n" if trailing else None)
    decoder = Decoder(verify_chunk, verify_trailer if trailing else None)
    assert decoded(decoder, cut(body, at)) == b"".join(chunks)
    assert decoder.trailers == ({"x-amz-checksum-crc32": "AAAA"} if trailing else {})


@pytest.mark.parametrize(
    "trailer",
    [b"x-amz-checksum-crc32:AA==\n\r\n\r\n", b"X-Amz-Checksum-Crc32: AA==\r\n\r\n"],
    ids=["minio-go", "spaced"],
)
@pytest.mark.parametrize("step", [1, 3, 100])
def test_trailers_in_the_forms_that_clients_have(trailer: bytes, step: int) -> None:
    body = b"5\r\nhello\r\n0\r\n" + trailer
    decoder = Decoder(None)
    assert decoded(decoder, [body[at : at + step] for at in range(0, len(body), step)]) == b"hello"
    assert decoder.trailers == {"x-amz-checksum-crc32": "AA=="}


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=4), st.integers(0, 10_000))
def test_a_stream_that_ends_early_is_never_whole(chunks: list[bytes], at: int) -> None:
    body = signed_stream(chunks, b"a:b\n")
    decoder = Decoder(verify_chunk, verify_trailer)
    with pytest.raises((MalformedChunk, BadChunkSignature)):
        decoded(decoder, [body[: at % len(body)]])


@given(st.binary(min_size=1, max_size=60), st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_of_the_content_can_change(content: bytes, at: int, flip: int) -> None:
    body = bytearray(signed_stream([content]))
    start = body.index(b"\r\n") + 2
    body[start + at % len(content)] ^= flip
    with pytest.raises(BadChunkSignature):
        decoded(Decoder(verify_chunk), [bytes(body)])


@pytest.mark.parametrize(
    ("name", "body", "trailing", "problem"),
    [
        ("added behind the signature", signed_stream([b"x"], b"a:b\n")[:-2] + b"a:c\r\n\r\n", True, MalformedChunk),
        ("added where none belongs", signed_stream([b"x"])[:-2] + b"a:c\r\n\r\n", False, MalformedChunk),
        ("taken away with its signature", signed_stream([b"x"]), True, BadChunkSignature),
        ("not signed", signed_stream([b"x"])[:-2] + b"a:b\r\n\r\n", True, BadChunkSignature),
    ],
)
def test_trailers_that_no_signature_covers(name: str, body: bytes, trailing: bool, problem: type[Exception]) -> None:
    decoder = Decoder(verify_chunk, verify_trailer if trailing else None)
    with pytest.raises(problem):
        decoded(decoder, [body])


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"1" * 17 + b"\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"0\r\nno trailer\r\n\r\n",
        b"0\r\n" + b"".join(b"h%d:v\r\n" % number for number in range(17)) + b"\r\n",
        b"0\r\n\r\nmore",
        b"5;" + b"e" * MAX_LINE + b"\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_framing_that_is_not_taken(body: bytes) -> None:
    with pytest.raises(MalformedChunk):
        decoded(Decoder(None), [body])


def test_a_line_without_end_is_not_held() -> None:
    decoder = Decoder(None)
    with pytest.raises(MalformedChunk):
        for _ in range(MAX_LINE + 1):
            decoder.feed(b"1")
