"""What is decided without a place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.training import leftovers
from littoral.training.channels import NotBrought, under
from littoral.training.job import Job
from littoral.training.metrics import Metrics
from littoral.training.toolkit.train import arguments, decoded
from littoral.training.turns import Room, choose

CORES = 4


def job(name: str, created: float, workers: int, *, spot: bool) -> Job:
    wanted = {"ResourceConfig": {"InstanceCount": workers}, "EnableManagedSpotTraining": spot}
    return Job(name, "arn", created, wanted)


jobs = st.lists(st.tuples(st.integers(1, CORES), st.booleans()), max_size=12).map(
    lambda found: [job(str(at), at, workers, spot=spot) for at, (workers, spot) in enumerate(found)]
)


@given(jobs, st.data())
def test_turns_are_fair_and_never_too_many(everybody: list[Job], data: st.DataObject) -> None:
    """As a place calls it: from what runs, whoever is asked to go away goes."""
    running: list[Job] = []
    for each in everybody:
        if data.draw(st.booleans()) and each.workers + sum(one.workers for one in running) <= CORES:
            running.append(each)
    waiting = [each for each in everybody if each not in running]
    begin, interrupt = choose(waiting, running, [], Room(CORES))
    assert sum(each.workers for each in (*running, *begin)) <= CORES
    assert all(each.spot and each in running for each in interrupt)
    left = [each for each in waiting if each not in begin]
    paying = [each for each in left if not each.spot]
    if paying:
        assert not any(each.spot for each in begin)
        assert all(each.created < paying[0].created for each in begin)
        assert interrupt or sum(one.workers for one in running if not one.spot) + paying[0].workers > CORES - sum(
            each.workers for each in begin
        )
        again, _ = choose(left, [each for each in (*running, *begin) if each not in interrupt], [], Room(CORES))
        assert (paying[0] in again) == bool(interrupt)
    assert choose(left, [*running, *begin], interrupt, Room(CORES))[0] == []


def test_who_was_asked_already_is_not_asked_twice() -> None:
    spot, other = job("s", 1, 2, spot=True), job("t", 2, 2, spot=True)
    paying = job("p", 3, 2, spot=False)
    assert choose([paying], [spot, other], [], Room(4)) == ([], [other])
    assert choose([paying], [spot], [other], Room(4)) == ([], [])


@pytest.mark.parametrize(
    ("prefix", "key", "path"),
    [
        ("data/a.csv", "data/a.csv", "a.csv"),
        ("data", "data/deep/a.csv", "deep/a.csv"),
        ("data/", "data/deep/a.csv", "deep/a.csv"),
        ("data/tr", "data/train/a.csv", "train/a.csv"),
        ("", "data/a.csv", "data/a.csv"),
    ],
)
def test_keys_become_paths(prefix: str, key: str, path: str) -> None:
    assert list(under(prefix, iter([(key, 3)]))) == [(key, path, 3)]


@given(st.text(max_size=30))
def test_no_key_leads_out(text: str) -> None:
    try:
        found = list(under("p/", iter([(f"p/{text}", 1)])))
    except NotBrought:
        return
    for _, path, _ in found:
        assert os.path.normpath(f"/channel/{path}") == f"/channel/{path}"


def test_metrics_are_finite_numbers() -> None:
    metrics = Metrics([{"Name": "loss", "Regex": "loss=(\\S+)"}, {"Name": "é", "Regex": "é=([0-9.]*)"}])
    assert metrics.found("epoch 1 loss=0.25 é=2") == {"loss": 0.25, "é": 2.0}
    assert metrics.found("loss=nan é=") == {}
    assert metrics.found("loss=1e3 loss=2") == {"loss": 1000.0}


def test_hyperparameters_become_arguments() -> None:
    given_ = decoded({"b": '"text"', "a": "plain", "flag": "true", "none": "null", "many": '{"x": [1]}', "n": "1.50"})
    assert arguments(given_) == [
        *("-a", "plain", "-b", "text", "--flag", "True", "--many", '{"x": [1]}', "-n", "1.5", "--none"),
    ]


def test_no_link_is_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "job", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "model" / "deep").mkdir(parents=True)
    (root / "model" / "deep" / "good").write_text("good")
    (root / "model" / "bad").symlink_to(outside / "secret")
    (root / "model" / "worse").symlink_to(outside)
    (root / "linked").symlink_to(outside)
    os.mkfifo(root / "model" / "pipe")
    with leftovers.beneath(root, "model") as folder:
        assert [left.name for left in leftovers.files(folder)] == ["deep/good"]
    with leftovers.beneath(root, "linked") as folder:
        assert folder is None
    assert leftovers.read(root, "model", "bad", most=10) is None
    assert leftovers.read(root, "linked", "secret", most=10) is None
    assert leftovers.read(root, "model", "nothing", most=10) is None
    (root / "plain").write_text("plain")
    assert leftovers.read(root, "plain", most=3) == b"pla"
    first, second = tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"
    assert leftovers.pack([root], ("model",), first) == 1
    assert leftovers.pack([root], ("nothing",), second) == 0


async def test_a_file_that_changes_is_not_a_body(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    with leftovers.beneath(tmp_path) as folder:
        assert folder is not None
        (left,) = leftovers.files(folder)
        with leftovers.opened(folder, left) as file:
            assert await leftovers.Whole(file, left).read() == b"before"
        (tmp_path / "a").write_text("changed")
        with leftovers.opened(folder, left) as file, pytest.raises(leftovers.BodyError):
            await leftovers.Whole(file, left).read()
