"""Where sockets of a place lie whose data folder's path is too long for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from littoral.site.sockets import leave_sockets, socket_folder


@pytest.fixture
def far(tmp_path: Path) -> Path:
    folder = tmp_path / ("a" * 100)
    folder.mkdir()
    return folder


async def test_a_short_path_has_them_in_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    data = Path()
    sockets = socket_folder(data, "tried")
    await leave_sockets(data, sockets)
    assert sockets == data / "tried"
    assert sockets.stat().st_mode & 0o777 == 0o700


async def test_a_place_that_was_killed_finds_its_folder_again_and_one_that_stops_leaves_none(far: Path) -> None:
    sockets = socket_folder(far, "tried")
    assert not sockets.is_relative_to(far)
    assert socket_folder(far, "tried") == sockets
    (sockets / "old.socket").touch()
    await leave_sockets(far, sockets)
    assert not sockets.exists()


@pytest.mark.parametrize("theirs", ["open to all", "a link", "a file"])
async def test_what_somebody_else_put_there_is_not_used(far: Path, tmp_path: Path, theirs: str) -> None:
    foreseen = socket_folder(far, "tried")
    foreseen.rmdir()
    if theirs == "a link":
        foreseen.symlink_to(tmp_path, target_is_directory=True)
    elif theirs == "a file":
        foreseen.touch(0o600)
    else:
        foreseen.mkdir()
        foreseen.chmod(0o755)
    try:
        sockets = socket_folder(far, "tried")
        assert sockets != foreseen
        assert sockets.stat().st_mode & 0o777 == 0o700
        await leave_sockets(far, sockets)
    finally:
        foreseen.rmdir() if theirs == "open to all" else foreseen.unlink()
