"""KMS through boto3; objects under its keys; and that no material is in the clear on the disk."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.kms import KeyStore
from littoral.kms.key import DAY
from littoral.objects import Objects
from littoral.store.embedded import EmbeddedStore
from littoral.store.sealed import Seal
from tests.support.served import Served, served

ACCOUNT = "000000000000"
ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture(scope="module")
def place() -> Iterator[Served]:
    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        folder = store.folder.parent
        keys = await KeyStore.open(
            store.records("kms"), store.seal(folder / "kms.key"), region="us-east-1", account=ACCOUNT
        )
        objects = await Objects.open(store, folder / "objects")
        objects.keep_keys_with(keys)
        await objects.start()
        return {"kms": keys.api, "s3": objects.api, "close": objects.close}

    with served(factory) as running:
        yield running


@pytest.fixture
def kms(place: Served) -> Any:
    return boto3.client("kms", config=ONCE, **place.client_kwargs)


@pytest.fixture
def s3(place: Served) -> Any:
    return boto3.client("s3", config=ONCE, **place.client_kwargs)


@pytest.fixture
def key(kms: Any) -> str:
    made: str = kms.create_key(Description="waves")["KeyMetadata"]["Arn"]
    return made


@pytest.fixture
def alias(kms: Any, key: str) -> str:
    name = f"alias/ward/{uuid.uuid4().hex[:8]}"
    kms.create_alias(AliasName=name, TargetKeyId=key)
    return name


def code(method: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        method(**arguments)
    told: str = refused.value.response["Error"]["Code"]
    return told


def test_what_is_encrypted_is_decrypted_and_only_as_it_was(kms: Any, key: str, alias: str) -> None:
    context = {"ward": "7", "bed": "3"}
    blob = kms.encrypt(KeyId=alias, Plaintext=b"wave", EncryptionContext=context)["CiphertextBlob"]
    opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=dict(reversed(context.items())))
    assert (opened["Plaintext"], opened["KeyId"]) == (b"wave", key)
    assert code(kms.decrypt, CiphertextBlob=blob) == "InvalidCiphertextException"
    for at in range(len(blob)):
        spoilt = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        assert code(kms.decrypt, CiphertextBlob=spoilt, EncryptionContext=context) in (
            "InvalidCiphertextException",
            "NotFoundException",  # of another key
        )
    assert code(kms.decrypt, CiphertextBlob=blob[:20]) == "InvalidCiphertextException"
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    refused = code(kms.decrypt, CiphertextBlob=blob, EncryptionContext=context, KeyId=other)
    assert refused == "IncorrectKeyException"
    moved = kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=context, DestinationKeyId=other)
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], KeyId=other)["Plaintext"] == b"wave"


def test_data_keys_and_chance(kms: Any, key: str) -> None:
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert len(made["Plaintext"]) == 32
    assert kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
    blind = kms.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=64)
    assert "Plaintext" not in blind
    assert len(kms.decrypt(CiphertextBlob=blind["CiphertextBlob"])["Plaintext"]) == 64
    assert code(kms.generate_data_key, KeyId=key) == "ValidationException"
    assert len(kms.generate_random(NumberOfBytes=20)["Plaintext"]) == 20
    assert code(kms.encrypt, KeyId=key, Plaintext=b"x", DryRun=True) == "DryRunOperationException"


def test_keys_are_named_switched_tagged_rotated_and_deleted(kms: Any, key: str, alias: str) -> None:
    told = kms.describe_key(KeyId=alias)["KeyMetadata"]
    assert (told["Arn"], told["KeyState"], told["Description"]) == (key, "Enabled", "waves")
    assert key in {each["KeyArn"] for page in kms.get_paginator("list_keys").paginate() for each in page["Keys"]}
    assert [each["AliasName"] for each in kms.list_aliases(KeyId=key)["Aliases"]] == [alias]
    assert code(kms.create_alias, AliasName=alias, TargetKeyId=key) == "AlreadyExistsException"
    assert code(kms.create_alias, AliasName="alias/aws/s3", TargetKeyId=key) == "InvalidAliasNameException"
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": "2"}])
    kms.untag_resource(KeyId=key, TagKeys=["a"])
    assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "b", "TagValue": "2"}]
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"])["Statement"][0]["Action"] == "kms:*"
    before = kms.encrypt(KeyId=key, Plaintext=b"old")["CiphertextBlob"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 90
    kms.rotate_key_on_demand(KeyId=key)
    after = kms.encrypt(KeyId=key, Plaintext=b"new")["CiphertextBlob"]
    assert before[:21] != after[:21]
    assert [kms.decrypt(CiphertextBlob=blob)["Plaintext"] for blob in (before, after)] == [b"old", b"new"]
    kms.disable_key(KeyId=key)
    assert code(kms.decrypt, CiphertextBlob=before) == "DisabledException"
    kms.enable_key(KeyId=key)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert code(kms.encrypt, KeyId=key, Plaintext=b"x") == "KMSInvalidStateException"
    kms.cancel_key_deletion(KeyId=key)
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=before)["Plaintext"] == b"old"
    kms.delete_alias(AliasName=alias)
    assert code(kms.describe_key, KeyId=alias) == "NotFoundException"


def test_keys_that_are_none_here(kms: Any) -> None:
    for asked in (
        {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"},
        {"MultiRegion": True},
        {"Origin": "EXTERNAL"},
    ):
        assert code(kms.create_key, **asked) == "UnsupportedOperationException"
    assert code(kms.create_key, Policy="{}") == "MalformedPolicyDocumentException"
    assert code(kms.create_grant, KeyId="x", GranteePrincipal="y", Operations=["Decrypt"]) == "NotImplemented"


async def test_keys_survive_a_restart_rotate_in_time_and_are_gone_when_due(tmp_path: Path) -> None:
    now = [1_000_000.0]

    async def opened() -> KeyStore:
        return await KeyStore.open(
            store.records("kms"),
            Seal.load_or_create(tmp_path / "kms.key"),
            region="us-east-1",
            account=ACCOUNT,
            clock=lambda: now[0],
        )

    store = await EmbeddedStore.open(tmp_path / "store")
    try:
        call = type("Call", (), {"now": now[0]})()
        keys = await opened()
        arn = (await keys.api.create_key(call))["KeyMetadata"]["Arn"]
        await keys.api.enable_key_rotation(call, key_id=arn)
        first = keys.wrap(arn, b"of an object", {})
        now[0] += 365 * DAY
        keys = await opened()
        second = keys.wrap(arn, b"of an object", {})
        assert first[:21] != second[:21]
        assert keys.unwrap(first, {}) == keys.unwrap(second, {}) == b"of an object"
        call.now = now[0]
        await keys.api.schedule_key_deletion(call, key_id=arn, pending_window_in_days=7)
        assert [each.value for each in await store.records("kms").scan("material/")] != []
        now[0] += 7 * DAY
        with pytest.raises(Exception, match="NotFoundException"):
            keys.unwrap(first, {})
        await opened()
        assert await store.records("kms").scan("") == []
    finally:
        await store.close()


@pytest.mark.parametrize("size", [100, 300_000])
def test_objects_are_encrypted_under_a_key_and_read_while_it_is_on(
    s3: Any, kms: Any, key: str, alias: str, size: int
) -> None:
    bucket = f"kms-{uuid.uuid4().hex[:10]}"
    s3.create_bucket(Bucket=bucket)
    body = os.urandom(size)
    asked = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": alias}
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, **asked)
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", key)
    assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == key
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", **asked)
    reference = {"Bucket": bucket, "Key": "parts", "UploadId": upload["UploadId"]}
    part = s3.upload_part(**reference, PartNumber=1, Body=body)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(**reference, MultipartUpload={"Parts": parts})
    other = kms.create_key()["KeyMetadata"]["Arn"]
    source = {"Bucket": bucket, "Key": "k"}
    copied = s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=source, ServerSideEncryption="aws:kms", SSEKMSKeyId=other
    )
    assert copied["SSEKMSKeyId"] == other
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [default]})
    assert s3.put_object(Bucket=bucket, Key="default", Body=body)["SSEKMSKeyId"] == key
    for name in ("k", "parts", "copy", "default"):
        assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == body
    kms.disable_key(KeyId=key)
    for name in ("k", "parts", "default"):
        assert code(s3.get_object, Bucket=bucket, Key=name) == "KMS.DisabledException"
    assert code(s3.put_object, Bucket=bucket, Key="k", Body=b"", **asked) == "KMS.DisabledException"
    assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == key  # what is known of it needs no key
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
    kms.enable_key(KeyId=key)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert code(s3.get_object, Bucket=bucket, Key="k") == "KMS.KMSInvalidStateException"
