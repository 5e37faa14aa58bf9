"""Plain tar archives, held against the standard library's reader and writer."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols import tar

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=200)
FILES = st.lists(
    st.tuples(NAMES, st.binary(max_size=1500), st.integers(0, 0o7777), st.integers(0, tar.LATEST)), max_size=8
)
FORMATS = st.sampled_from([tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])


def packed(files: list[tuple[str, bytes, int, int]]) -> bytes:
    made = b"".join(
        tar.header(name, len(data), mode, at) + data + tar.padding(len(data)) for name, data, mode, at in files
    )
    return made + tar.END


def by_library(archive: bytes) -> list[tuple[str, bytes, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
        found = [(entry, opened.extractfile(entry)) for entry in opened if entry.isreg()]
        return [(entry.name, file.read(), entry.mode, int(entry.mtime)) for entry, file in found if file is not None]


def by_us(archive: bytes) -> list[tuple[str, bytes, int, int]] | None:
    found = tar.read(memoryview(archive))
    if found is None:
        return None
    return [(one.name, archive[one.start : one.start + one.size], one.mode, one.modified) for one in found]


@given(FILES)
def test_what_is_written_is_read_by_both(files: list[tuple[str, bytes, int, int]]) -> None:
    archive = packed(files)
    assert by_us(archive) == files
    plain = [(name.rstrip("/"), *rest) for name, *rest in files]
    assert [(name.rstrip("/"), *rest) for name, *rest in by_library(archive)] == plain


@given(FILES, FORMATS, st.booleans())
def test_what_the_library_writes_is_read_alike_or_left_to_it(
    files: list[tuple[str, bytes, int, int]], form: int, folders: bool
) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, data, mode, at in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), mode, at
            folder = tarfile.TarInfo("folder")
            folder.type = tarfile.DIRTYPE
            try:
                if folders:
                    archive.addfile(folder)
                archive.addfile(entry, io.BytesIO(data))
            except ValueError:  # a name that this form cannot say
                return
    found = by_us(made.getvalue())
    assert found is None or found == by_library(made.getvalue())
    if form == tarfile.GNU_FORMAT:
        assert found is not None


@given(FILES.filter(len), st.data())
def test_a_damaged_one_is_read_as_the_library_does_or_left_to_it(
    files: list[tuple[str, bytes, int, int]], data: st.DataObject
) -> None:
    archive = bytearray(packed(files))
    for place in data.draw(st.lists(st.integers(0, len(archive) - 1), max_size=4)):
        archive[place] = data.draw(st.integers(0, 255))
    cut = bytes(archive[: data.draw(st.integers(0, len(archive)))])
    found = by_us(cut)
    assert found is None or found == by_library(cut)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE])
def test_what_is_no_plain_file_is_left_to_the_library(kind: bytes) -> None:
    entry = tarfile.TarInfo("one")
    entry.type = kind
    assert tar.read(memoryview(entry.tobuf(tarfile.GNU_FORMAT) + tar.END)) is None


@pytest.mark.parametrize("text", [b"", b"no archive" * 100, bytes(100)])
def test_no_archive_is_left_to_the_library(text: bytes) -> None:
    assert tar.read(memoryview(text)) is None


def test_an_empty_one_has_no_files() -> None:
    assert tar.read(memoryview(tar.END)) == []


@given(st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), min_size=1, max_size=1200), NAMES)
def test_what_is_told_of_a_file_is_read_by_both_and_is_that_files_alone(about: str, name: str) -> None:
    plain = tar.header(name, 3, 0o600, 7) + b"abc" + tar.padding(3)
    archive = tar.told(about) + plain + plain + tar.END
    entries = tar.read(memoryview(archive))
    assert entries is not None
    assert [one.about for one in entries] == [about, ""]
    assert by_us(archive) == [(name, b"abc", 0o600, 7)] * 2
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
        assert [one.pax_headers for one in opened if one.isreg()] == [{"LITTORAL.about": about}, {}]


@pytest.mark.parametrize("record", [b"12 path=abcd\n", b"18 LITTORAL.about=", b"9 LITTORAL.about=x\n", b"", b"x"])
def test_another_extended_header_is_left_to_the_library(record: bytes) -> None:
    whole = tar.told("x" * 40)
    made = whole[: tar.BLOCK] + record.ljust(len(whole) - tar.BLOCK, b"\0")
    assert tar.read(memoryview(made + tar.header("a", 0, 0, 0) + tar.END)) is None
