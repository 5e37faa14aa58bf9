"""What ``littoral doctor`` says of the kernel."""

from __future__ import annotations

from pathlib import Path

from littoral.site.network import advise
from littoral.site.settings import Settings


def kernel(folder: Path, cookies: str, queue: str) -> Path:
    for name, text in (("ipv4/tcp_syncookies", cookies), ("core/somaxconn", queue)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text + "\n")
    return folder


def test_advice_is_given_where_something_is_amiss(tmp_path: Path) -> None:
    settings = Settings(edge_connections=900_000)
    found = {each.name: each for each in advise(settings, kernel(tmp_path, "0", "128"))}
    assert [each.good for each in found.values()] == [False, False, False]
    assert "tcp_syncookies=1" in found["SYN cookies"].detail
    assert "somaxconn is 128, edge_backlog 4096" in found["listen queue"].detail
    good = advise(Settings(edge_connections=1), kernel(tmp_path, "1", "4096"))
    assert [each.good for each in good][:2] == [True, True]


def test_what_cannot_be_read_is_not_judged(tmp_path: Path) -> None:
    assert [each.good for each in advise(Settings(), tmp_path)][:2] == [None, None]
