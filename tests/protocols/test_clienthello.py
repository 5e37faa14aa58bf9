"""ClientHello and its fingerprints: known ones, those of a real client, and bytes cut anywhere."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from littoral.protocols.clienthello import ClientHello, ja3, ja3_text, ja4, missing, read

# FoxIO's example of JA4, a Chrome: what is hashed is printed in their technical details.
CHROME = ClientHello(
    0x0303,
    tuple(
        int(each, 16) for each in "1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 009c 009d 002f 0035".split()
    ),
    tuple(
        int(each, 16)
        for each in "001b 0000 0033 0010 4469 0017 002d 000d 0005 0023 0012 002b ff01 000b 000a 0015".split()
    ),
    signatures=(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601),
    versions=(0x0304, 0x0303),
    alpn=b"h2",
)


def sent(**options: object) -> bytes:
    """What OpenSSL's client sends first."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1", "h2"])
    for name, value in options.items():
        setattr(context, name, value)
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="example.org").do_handshake()
    return outgoing.read()


def test_known_fingerprints() -> None:
    assert ja4(CHROME) == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    salesforce = ClientHello(
        769, (47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4), (0, 10, 11), (23, 24, 25), (0,)
    )
    assert ja3_text(salesforce) == "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0"
    assert ja3(salesforce) == "ada70206e40642a3e4461f35503241d5"
    bare = ClientHello(769, (4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99))
    assert (ja3_text(bare), ja3(bare)) == ("769,4-5-10-9-100-98-3-6-19-18-99,,,", "de350869b8c85de67a350c8d186f11e6")
    assert ja4(bare).startswith("t10i110000_") and ja4(bare).endswith("_000000000000")


def test_what_a_real_client_sends() -> None:
    hello = read(sent())
    assert isinstance(hello, ClientHello)
    assert (hello.version, hello.versions, hello.alpn) == (0x0303, (0x0304, 0x0303), b"http/1.1")
    assert 0x1301 in hello.ciphers and 29 in hello.groups and 0x0403 in hello.signatures
    assert ja4(hello).startswith(f"t13d{len(hello.ciphers)}{len(hello.extensions):02}h1_")
    again = read(sent())
    assert isinstance(again, ClientHello) and (ja3(again), ja4(again)) == (ja3(hello), ja4(hello))
    older = read(sent(maximum_version=ssl.TLSVersion.TLSv1_2))
    assert isinstance(older, ClientHello) and ja4(older).startswith("t12d")


@pytest.mark.parametrize(("protocol", "ends"), [(b"", "00"), (b"h2", "h2"), (b"x", "xx"), (b"\xabx\xcd", "ad")])
def test_the_protocol_in_two_characters(protocol: bytes, ends: str) -> None:
    assert ja4(ClientHello(0x0303, (1,), (16,), alpn=protocol))[8:10] == ends


def test_what_means_nothing_counts_nothing() -> None:
    def framed(content: bytes, width: int = 2) -> bytes:
        return len(content).to_bytes(width, "big") + content

    extensions = b"\x1a\x1a" + framed(b"") + b"\x00\x0a" + framed(framed(b"\x2a\x2a\x00\x1d"))
    body = (
        b"\x03\x03" + bytes(32) + framed(b"", 1) + framed(b"\x0a\x0a\x13\x01") + framed(b"\0", 1) + framed(extensions)
    )
    hello = read(b"\x16\x03\x01" + framed(b"\x01" + framed(body, 3)))
    assert hello == ClientHello(0x0303, (0x1301,), (10,), (29,))


HELLO = sent()


@given(st.integers(0, len(HELLO) - 1))
def test_a_part_says_how_much_it_wants(length: int) -> None:
    wanted = read(HELLO[:length])
    assert isinstance(wanted, int) and length < wanted <= len(HELLO)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=20))
def test_a_hello_may_be_spread_over_records(cuts: list[int]) -> None:
    message, spread, at = HELLO[5:], b"", 0
    for cut in (*cuts, len(message)):
        part = message[at : at + cut]
        spread += b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part if part else b""
        at += cut
    assert read(spread) == read(HELLO)
    assert read(spread + b"what comes after") == read(HELLO)
    shorter = read(spread[:-1])
    assert isinstance(shorter, int) and shorter <= len(spread)


@given(st.binary(max_size=300))
def test_anything_may_come(data: bytes) -> None:
    for begin in (b"", b"\x16\x03\x01", HELLO[:100]):
        found = read(begin + data)
        if isinstance(found, int):
            assert found > len(begin + data)
        elif found is not None:
            assert len(ja3(found)) == 32 and len(ja4(found)) == 36


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_a_changed_byte_breaks_nothing(at: int, byte: int) -> None:
    found = read(HELLO[:at] + bytes([byte]) + HELLO[at + 1 :])
    if isinstance(found, ClientHello):
        assert len(ja4(found)) == 36


@given(st.integers(8, 2000), st.integers(0, 2000), st.integers(1, 400))
@example(1, 0, 400)  # a byte a record; the work grows with the square
def test_what_a_hello_is_short_of_leads_to_its_end_and_no_further(length: int, at: int, step: int) -> None:
    """However it is cut: asked again and again it comes to exactly the whole, also over several records."""
    whole = HELLO
    parts = (whole[start : start + length] for start in range(5, len(whole), length))
    for said in (whole, b"".join(whole[:3] + len(part).to_bytes(2, "big") + part for part in parts)):
        here = min(at, len(said))
        while short := missing(said[:here]):
            assert here + short <= len(said)
            here += min(step, short)
        assert (short, here) == (0, len(said))


@given(st.binary(max_size=200))
def test_what_is_no_hello_is_not_waited_for_without_end(said: bytes) -> None:
    short = missing(said)
    assert short is None or 0 <= short <= 5 + 65_535
