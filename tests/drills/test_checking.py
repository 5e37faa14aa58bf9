"""The drill's checker finds what it is there for."""

from littoral.drills.checking import Compared, compare, missing


def test_what_arrives_once_and_in_order_is_well() -> None:
    assert compare({"a": [0, 1, 2]}, {}, {"a": [0, 1, 2]}) == Compared(3, 3, 0, 0, 0, 0)


def test_lost_doubled_and_out_of_order_are_counted() -> None:
    assert compare({"a": [0, 1, 2, 3]}, {}, {"a": [0, 2, 1, 2]}) == Compared(4, 3, 1, 1, 1, 1)
    assert compare({"a": [0, 1]}, {}, {}).lost == 2


def test_what_a_bed_sent_twice_may_be_there_twice() -> None:
    assert compare({"a": [0, 1, 2]}, {"a": [1]}, {"a": [0, 1, 2, 1]}) == Compared(3, 3, 0, 0, 0, 0)


def test_the_order_is_that_of_acceptance() -> None:
    assert compare({"a": [0, 2, 1]}, {}, {"a": [0, 2, 1]}).disordered == 0


def test_stretches_of_lost_ones_are_counted_a_bed() -> None:
    found = compare({"a": list(range(6)), "b": [0, 1]}, {}, {"a": [0, 3, 5], "b": [1]})
    assert (found.lost, found.gaps) == (4, 3)


def test_what_is_missing_is_named() -> None:
    assert missing({"a": [0, 1, 2], "b": [5]}, {"a": [2, 0], "b": [5]}) == {"a": [1]}
