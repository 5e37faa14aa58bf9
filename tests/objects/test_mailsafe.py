"""Metadata beyond ASCII: as mail has it, by AWS's own example, and what is read again is what was written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.objects.mailsafe import decoded, encoded
from tests.objects.conftest import S3Place
from tests.objects.test_edges import ask

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS)
def test_what_was_encoded_is_decoded_to_the_same(text: str) -> None:
    told = encoded(text)
    assert told.isascii()
    if told != text:
        assert decoded(told) == text
        assert all(len(word) <= 75 for word in told.split(" "))


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("ÄMÄZÕÑ S3".encode(), "=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?="),  # the example of AWS's page
        (b"AMAZONS3", "AMAZONS3"),
        (b"=?UTF-8?B?Y2Fmw6k=?=", "=?UTF-8?Q?caf=C3=A9?="),
        (b"=?ISO-8859-1?Q?caf=E9?= au lait", "=?UTF-8?Q?caf=C3=A9_au_lait?="),
        (b"=?UTF-8?Q?plain?=", "plain"),
        (b"=?nonsense?Q?a?=", "=?nonsense?Q?a?="),
        (b"=?UTF-8?Q?=FF?=", "=?UTF-8?Q?=FF?="),
        (b"=?UTF-8?Q?100%25_=?=", "100%25 ="),
        (b"=?UTF-8?Q?a?= =?utf-8?b?Yg==?= c", "ab c"),
        (b"=?UTF-8?B?a?=", "=?UTF-8?B?a?="),
    ],
)
def test_a_value_is_told_as_aws_tells_it(place: S3Place, s3: Any, bucket: str, sent: bytes, told: str) -> None:
    assert ask(place, "PUT", f"/{bucket}/k", b"x", {"x-amz-meta-a": sent.decode("latin-1")}).status == 200
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    for key in ("k", "copy"):
        assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"a": told}


def test_what_no_header_can_say_is_counted(place: S3Place, s3: Any, bucket: str) -> None:
    hidden = "=?UTF-8?Q?a=0D=0Ax-amz-evil:_1?="
    s3.put_object(Bucket=bucket, Key="k", Metadata={"hidden": hidden, "seen": "b"})
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["Metadata"], head["MissingMeta"]) == ({"seen": "b"}, 1)
