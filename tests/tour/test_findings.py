from littoral.tour.findings import Findings, Outage, doubled, gaps, latency, points


def window(bed: str, number: int, first: int, count: int) -> dict[str, object]:
    return {"bed": bed, "window": number, "first": first, "points": count}


def test_a_window_that_came_twice_counts_once_and_is_reported() -> None:
    heard = [window("bed1", 0, 0, 100), window("bed1", 0, 0, 100), window("bed2", 0, 0, 50)]
    assert points(heard) == 150
    assert doubled(heard) == 1


def test_a_missing_window_is_a_gap_at_the_next_one() -> None:
    assert gaps([window("bed1", 0, 0, 100), window("bed1", 1, 100, 100)]) == []
    assert gaps([window("bed1", 0, 0, 100), window("bed1", 2, 200, 100)]) == ["bed1 window 2"]
    assert gaps([window("bed1", 1, 100, 100)]) == ["bed1 window 1"]


def test_latency_is_from_publish_to_hearing() -> None:
    alarms = [{"sent_at": 10.0, "heard_at": 10.0 + ms / 1000} for ms in (1, 2, 3)]
    assert latency(alarms) == "3, median 2.0 ms, p99 3.0 ms"
    assert latency([]) == "none"


def test_a_failed_check_is_remembered() -> None:
    findings = Findings()
    findings.check("holds", True, 1)
    findings.check("does not", False, 2)
    assert [check.claim for check in findings.failed] == ["does not"]
    assert Outage(1.0, 2.0).covers(1.5)
    assert not Outage(1.0, 2.0).covers(2.5)
