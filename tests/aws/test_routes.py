"""What routes remember is what they would find."""

from __future__ import annotations

import itertools

import pytest

from littoral.aws.routes import bare_route, match, routes


@pytest.mark.parametrize("path", ["/", "/bucket", "/bucket/", "/bucket/a%20key/of it", "/WriteGetObjectResponse"])
def test_without_a_query_only_the_headers_that_a_route_requires_tell(path: str) -> None:
    for method, those in routes("s3").items():
        required = sorted({name for route in those for name in route.required_headers})
        for count in range(min(3, len(required)) + 1):
            for names in itertools.combinations(required, count):
                fields = {*(name.encode() for name in names), b"host", b"authorization"}
                expected = match("s3", method, path, {}, {*names, "host", "authorization"})
                for _ in range(2):
                    assert bare_route("s3", method, path, fields) == expected


def test_labels_are_the_callers_own() -> None:
    first = bare_route("s3", "GET", "/bucket/key", set())
    assert first == ("GetObject", {"Bucket": "bucket", "Key": "key"})
    first[1]["Key"] = "changed"
    assert bare_route("s3", "GET", "/bucket/key", set()) == ("GetObject", {"Bucket": "bucket", "Key": "key"})
