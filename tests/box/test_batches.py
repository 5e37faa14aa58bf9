"""What goes in a batch, and that it comes out of it as it went in."""

from __future__ import annotations

import io

import pytest

from littoral.box.transfer import batches
from littoral.box.transfer.batches import FIRST, LARGEST, SMALL, Content, Grouping, as_file, fits, pack
from littoral.box.transfer.items import About, Item, kept
from littoral.objects.archives import HEADERS, Archive

SAID = kept(1_700_000_001, 0o640)


@pytest.mark.parametrize("key", ["a", "ward/ä ö", "k" * 1024, "ward/" + "é" * 60])
@pytest.mark.parametrize("modified", [1, 1_700_000_001, 8**11 - 1])
def test_what_goes_in_comes_out(key: str, modified: int) -> None:
    about = About({}, kept(modified, 0o7640))
    assert fits(key, about)
    packed = pack([Content(Item(key, size, "stamp"), bytes(size), about) for size in (0, 1, 512, 1000)])
    archive = Archive(io.BytesIO(packed.archive))
    assert [(one.name, archive.read(one), one.metadata) for one in archive.members] == [
        (key, bytes(size), about.metadata) for size in (0, 1, 512, 1000)
    ]


@pytest.mark.parametrize(
    ("key", "about"),
    [
        ("/a", About({}, SAID)),
        ("a/../b", About({}, SAID)),
        ("a/", About({}, SAID)),
        ("a", About({"expires": "Thu, 01 Jan 2026\n"}, SAID)),
        ("a", About({"link": "b"}, SAID)),
        ("a", About({"content-type": "text/plän"}, SAID)),
        ("a", About({}, {"x": "ü"})),
        ("a", About({}, {"x": "a\nb"})),
    ],
)
def test_what_a_tar_would_not_say_goes_alone(key: str, about: About) -> None:
    assert not fits(key, about)


@pytest.mark.parametrize(
    "about",
    [
        About({"content-type": "text/plain"}, SAID),
        About(dict.fromkeys(batches.SAID, "x"), {"n": "1", "ward": 'a "b" \\ c' * 80}),
        About({}, {}),
        About({}, SAID | {"more": "1"}),
        About({}, SAID | {"file-permissions": "rw-r--r--"}),
        About({}, SAID | {"file-permissions": "0100644"}),  # with the kind of file
        About({}, SAID | {"file-permissions": "640"}),
        About({}, SAID | {"file-permissions": "-001"}),
        About({}, SAID | {"file-mtime": "1700000000"}),
        About({}, SAID | {"file-mtime": "1700000000000000001ns"}),
        About({}, kept(-1, 0o644)),
        About({}, kept(8**11, 0o644)),
    ],
)
@pytest.mark.parametrize("key", ["a", "ward/" + "é" * 60])
def test_what_is_more_than_a_files_is_said_beside_it(key: str, about: About) -> None:
    assert fits(key, about)
    assert not as_file(about)
    contents = [Content(Item(key, 5, "stamp"), b"12345", one) for one in (about, About({}, SAID), about)]
    (first, second, third) = Archive(io.BytesIO(pack(contents).archive)).members
    expected = {HEADERS[name]: value for name, value in about.headers.items()}, about.metadata
    assert (first.headers, first.metadata) == (third.headers, third.metadata) == expected
    assert (second.headers, second.metadata) == ({}, SAID)
    assert {one.name for one in (first, second, third)} == {key}


def test_the_first_batch_is_short_and_the_others_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST", 200)
    grouping = Grouping()
    items = [Item(f"{number:04}", 10, "") for number in range(1000)]
    sizes = [len(group) for half in (items[:500], items[500:]) for group in grouping.of(half)]
    assert sizes == [FIRST, 200, 200, 50, 200, 200, 100]


def test_a_batch_is_no_larger_than_it_may_be_and_a_large_one_goes_alone() -> None:
    items = [Item(f"{number:04}", SMALL, "") for number in range(FIRST)]
    items.insert(3, Item("large", SMALL + 1, ""))
    groups = list(Grouping().of(items))
    assert [one.key for one in groups[0]] == ["large"]
    assert [sum(one.size for one in group) for group in groups[1:]] == [LARGEST, FIRST * SMALL - LARGEST]
