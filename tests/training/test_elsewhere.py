"""What region and machine say to one another, the network between hosts, what is believed of a folder that comes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.training.elsewhere.folders import Receiver, send_files, send_folder
from littoral.training.elsewhere.frames import MOST, Broken, Decoder, Kind, frame
from littoral.training.elsewhere.hosting import Given
from littoral.training.elsewhere.line import SILENCE, Line
from littoral.training.elsewhere.offers import Errand, Offer, Offers
from littoral.training.elsewhere.switch import Switch
from littoral.training.hosts import addresses
from littoral.training.job import Job
from littoral.training.turns import Room, choose, needs

HOSTS = addresses(3, spread=True)
kinds = st.sampled_from(list(Kind))


def packet(source: str, destination: str, body: bytes = b"") -> bytes:
    """IPv4, as far as anybody looks."""
    return b"\x45" + bytes(11) + IPv4Address(source).packed + IPv4Address(destination).packed + body


# ----------------------------------------------------------------------------------------------------- frames


@given(st.lists(st.tuples(kinds, st.binary(max_size=300))), st.lists(st.integers(1, 50)))
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent: list[tuple[Kind, bytes]], cuts: list[int]) -> None:
    stream, decoder = b"".join(frame(kind, body) for kind, body in sent), Decoder()
    found: list[tuple[Kind, bytes]] = []
    for size in cuts:
        found += decoder.feed(stream[:size])
        stream = stream[size:]
    assert found + decoder.feed(stream) == sent


@given(st.binary(max_size=200))
def test_whatever_comes_is_frames_or_broken(data: bytes) -> None:
    try:
        found = Decoder().feed(data)
    except Broken:
        return
    assert data.startswith(b"".join(frame(kind, body) for kind, body in found))


def test_a_frame_has_a_most() -> None:
    with pytest.raises(Broken):
        Decoder().feed((MOST + 1).to_bytes(4, "big") + b"\x01")
    with pytest.raises(ValueError):
        frame(Kind.LINE, bytes(MOST + 1))


@pytest.mark.parametrize(
    "order",
    [
        b"[]",
        b"{",
        b'{"host": "a", "hosts": {"b": "1"}, "volume": 1}',
        b'{"host": "..", "hosts": {"..": "1"}, "volume": 1}',
        b'{"host": "a/b", "hosts": {"a/b": "1"}, "volume": 1}',
        b'{"host": "a", "hosts": [], "volume": 1}',
    ],
)
def test_an_order_that_is_none_is_broken(order: bytes) -> None:
    with pytest.raises(Broken):
        Given.of(order)


# ---------------------------------------------------------------------------------------------------- network


@given(st.sampled_from(list(HOSTS)), st.sampled_from(list(HOSTS)), st.binary(max_size=40))
def test_a_packet_goes_to_whom_it_is_for(sender: str, to: str, body: bytes) -> None:
    way = Switch(HOSTS).way(sender, packet(HOSTS[sender], HOSTS[to], body))
    assert way == (to if to != sender else None)


@given(st.sampled_from(list(HOSTS)), st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_nobody_sends_in_anothers_name_or_out_of_the_network(sender: str, source: Any, to: Any) -> None:
    """Also the addresses of hosts, of which the strategy would hardly think."""
    switch = Switch(HOSTS)
    known = {IPv4Address(each) for each in HOSTS.values()}
    for claimed in {source, *known} - {IPv4Address(HOSTS[sender])}:
        for meant in (to, *known):
            assert switch.way(sender, packet(str(claimed), str(meant))) is None
    if to not in known:
        assert switch.way(sender, packet(HOSTS[sender], str(to))) is None
    assert switch.dropped


@given(st.binary(max_size=60))
def test_what_is_no_packet_goes_nowhere(data: bytes) -> None:
    switch = Switch(HOSTS)
    if data[:1] != b"\x45":
        assert switch.way("algo-1", data) is None
    assert switch.way("algo-1", b"\x60" + packet(HOSTS["algo-1"], HOSTS["algo-2"])[1:]) is None  # of another version
    assert switch.way("algo-1", packet(HOSTS["algo-1"], HOSTS["algo-2"])[:19]) is None


# ---------------------------------------------------------------------------------------------------- folders


class Wire(Line):
    """What is sent into it comes to a receiver."""

    def __init__(self, receiver: Receiver) -> None:
        super().__init__()
        self.receiver = receiver

    def send(self, kind: Kind, body: bytes = b"") -> None:
        self.receiver.heard(kind, body)

    def heard(self, kind: Kind, body: bytes) -> None:
        raise NotImplementedError

    def lost(self) -> None:
        raise NotImplementedError


def receiver(folder: Path, room: int = 1 << 20) -> Receiver:
    (folder / "root").mkdir(exist_ok=True)
    return Receiver(folder / "root", folder / "coming", room)


def test_a_folder_arrives_with_all_that_is_in_it_but_links(tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    (sent / "input/data/empty").mkdir(parents=True)
    (sent / "input/data/big").write_bytes(os.urandom(200_000))
    (sent / "code").mkdir()
    (sent / "code/deep.txt").symlink_to("/etc/passwd")
    (tmp_path / "root").mkdir()
    asyncio.run(send_folder(Wire(receiver(tmp_path)), sent))
    found = sorted(str(each.relative_to(tmp_path / "root")) for each in (tmp_path / "root").rglob("*"))
    assert found == ["code", "input", "input/data", "input/data/big", "input/data/empty"]
    assert (tmp_path / "root/input/data/big").read_bytes() == (sent / "input/data/big").read_bytes()
    assert not (tmp_path / "coming").exists()


def test_what_is_sent_of_a_part_keeps_its_place(tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    (sent / "model/deep").mkdir(parents=True)
    (sent / "model/deep/weights").write_bytes(b"w")
    (sent / "input").mkdir()
    (sent / "input/not-this").write_bytes(b"n")
    asyncio.run(send_files(Wire(receiver(tmp_path)), sent, "model"))
    assert [each.name for each in (tmp_path / "root").rglob("*")] == ["model", "deep", "weights"]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../out", "model/../../out", "model//x", "model/.", "etc/x", "", "model/\0", "model/", "."]
)
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    for kind, body in ((Kind.FILE, json.dumps({"name": name}).encode()), (Kind.FOLDER, name.encode())):
        with pytest.raises(Broken):
            receiver(tmp_path).heard(kind, body)
    assert list(tmp_path.rglob("*")) == [tmp_path / "root"]


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    coming = receiver(tmp_path)
    coming.heard(Kind.FILE, b'{"name": "model/one"}')
    coming.heard(Kind.PIECE, b"half")
    coming.heard(Kind.FILE, b'{"name": "model/two"}')  # the first broke off
    coming.heard(Kind.PIECE, b"whole")
    coming.heard(Kind.WHOLE, b"")
    assert [each.name for each in (tmp_path / "root/model").iterdir()] == ["two"]
    assert (tmp_path / "root/model/two").read_bytes() == b"whole"
    for kind in (Kind.PIECE, Kind.WHOLE):
        with pytest.raises(Broken):
            coming.heard(kind, b"")


def test_all_together_are_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    coming = receiver(tmp_path, 10)
    for _ in range(3):  # written anew it is no more
        coming.heard(Kind.FILE, b'{"name": "checkpoints/state"}')
        coming.heard(Kind.PIECE, bytes(8))
        coming.heard(Kind.WHOLE, b"")
    coming.heard(Kind.FILE, b'{"name": "model/x"}')
    with pytest.raises(Broken):
        coming.heard(Kind.PIECE, bytes(3))


# ------------------------------------------------------------------------------------------------------ lines


class Silent(Wire):
    aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_who_is_silent_for_long_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    line = Silent(receiver(tmp_path))
    line.send = lambda kind, body=b"": None  # type: ignore[method-assign]
    monkeypatch.setattr(time, "monotonic", lambda: now + SILENCE - 1)
    line.beat()
    assert not line.aborted
    monkeypatch.setattr(time, "monotonic", lambda: now + SILENCE + 1)
    line.beat()
    assert line.aborted


async def test_a_machine_says_how_its_host_ended_and_nothing_else(tmp_path: Path) -> None:
    """What is no wait status, or is said by whom nothing was asked of, ends the connection."""
    told = Offer(Offers(), "forge", "10.0.0.1", lambda: True)
    errand = Errand("job", "algo-2", HOSTS, tmp_path, tmp_path / "coming", 1, lambda _: None, lambda _: None)
    await told.prepare(errand)
    for said in (0x7F, -1, 1 << 40, "0", None):
        with pytest.raises(Broken):
            told.heard(Kind.ENDED, json.dumps({"status": said}).encode())
    told.heard(Kind.ENDED, b'{"status": 256}')
    assert await told.failed() == 256
    for kind in (Kind.ENDED, Kind.PACKET, Kind.LINE, Kind.FILE, Kind.SETTLED, Kind.ORDER):
        with pytest.raises(Broken):
            Offer(Offers(), "forge", "10.0.0.1", lambda: True).heard(kind, b"{}")


def test_hosts_are_taken_of_the_machine_that_has_most() -> None:
    offers = Offers()
    for machine in ("one", "two", "two", "two"):
        offers.idle.append(type("Made", (), {"machine": machine})())
    assert [each.machine for each in offers.take(3)] == ["two", "two", "one"]
    assert [each.machine for each in offers.idle] == ["two"]


# ------------------------------------------------------------------------------------------------------ turns


def job(created: float, workers: int, *, spot: bool = False, isolated: bool = True, spread: bool = False) -> Job:
    hyper = {"sagemaker_spread_enabled": "true"} if spread else {}
    wanted = {
        "ResourceConfig": {"InstanceCount": workers},
        "EnableManagedSpotTraining": spot,
        "EnableNetworkIsolation": isolated,
        "HyperParameters": hyper,
    }
    return Job(str(created), "arn", created, wanted)


def test_where_hosts_are() -> None:
    assert needs(job(1, 4), 2) == Room(2, 2)
    assert needs(job(1, 2), 2) == Room(2, 0)
    assert needs(job(1, 2, spread=True), 2) == Room(1, 1)
    assert needs(job(1, 4, isolated=False), 2) == Room(4, 0)


def test_who_waits_for_a_machine_keeps_nobody_from_the_processors_here() -> None:
    far, next_far, near = job(1, 3), job(2, 2, spread=True), job(3, 1)
    assert choose([far, next_far, near], [], [], Room(1, 1)) == ([near], [])  # two are wanted first, so one is kept
    assert choose([far, near], [], [], Room(1, 2)) == ([far], [])


def test_spot_jobs_give_machines_back() -> None:
    spot, here, paying = job(1, 2, spot=True, spread=True), job(2, 1, spot=True), job(3, 2, spread=True)
    assert choose([paying], [spot, here], [], Room(4, 0)) == ([], [spot])
    assert choose([paying], [here], [spot], Room(4, 0)) == ([], [])  # it is already going
    assert choose([job(4, 3, spread=True)], [spot], [], Room(4, 0)) == ([], [])  # it would not be enough


made = st.builds(job, st.floats(0, 9), st.integers(1, 6), spot=st.booleans(), spread=st.booleans())


@given(st.lists(made, max_size=8), st.integers(1, 4), st.integers(0, 6))
def test_no_more_begin_than_there_is_room_for(waiting: list[Job], cores: int, away: int) -> None:
    begin, interrupt = choose(waiting, [], [], Room(cores, away))
    wanted = [needs(each, cores) for each in begin]
    assert sum(each.here for each in wanted) <= cores and sum(each.away for each in wanted) <= away
    assert not interrupt
