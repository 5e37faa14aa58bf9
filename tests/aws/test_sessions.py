"""Temporary credentials: what a token says, to whom it says nothing, and when it is over."""

from __future__ import annotations

import pytest

from littoral.aws.sessions import Expired, Sessions

ARN = "arn:aws:sts::000000000000:assumed-role/r/s"


def test_a_session_is_known_again_by_its_token_alone() -> None:
    made = Sessions("root").issue(ARN, 900, 1000.5)
    assert (made.expires, made.expiration) == (1900, "1970-01-01T00:31:40Z")
    found = Sessions("root").session(made.access_key, made.token, 1899)  # as after a restart
    assert found is not None
    session, secret = found
    assert (session.arn, secret) == (ARN, made.secret) and len(secret) == 40
    assert made.secret not in repr(made) and made.token not in repr(made)


def test_it_is_over_in_time() -> None:
    made = Sessions("root").issue(ARN, 900, 1000)
    with pytest.raises(Expired):
        Sessions("root").session(made.access_key, made.token, 1900)


@pytest.mark.parametrize("change", ["{}A", "x{}", "", "é.é", "{}."])
def test_a_token_that_was_changed_says_nothing(change: str) -> None:
    made = Sessions("root").issue(ARN, 900, 1000)
    assert Sessions("root").session(made.access_key, change.format(made.token), 1000) is None


def test_nor_does_one_of_another_key_or_place() -> None:
    sessions = Sessions("root")
    one, other = sessions.issue(ARN, 900, 1000), sessions.issue(ARN, 900, 1000)
    assert sessions.session(one.access_key, other.token, 1000) is None
    assert Sessions("another").session(one.access_key, one.token, 1000) is None
