"""The Secrets Manager API through boto3 and the AWS CLI; and that no secret is in the clear on the disk."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.kms import KeyStore
from littoral.secrets import SecretStore
from littoral.secrets.catalog import Catalog
from littoral.secrets.secret import DAY, MOST_DEPRECATED
from littoral.store.contract import StorageFailed
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.store.sealed import CannotOpen, Seal
from tests.support.served import Served, served

ACCOUNT = "000000000000"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "secrets.key"


async def opened(records: Any, key: Path) -> SecretStore:
    return await SecretStore.open(records, Seal.load_or_create(key), region="us-east-1", account=ACCOUNT)


@pytest.fixture(scope="module")
def place(key: Path) -> Iterator[Served]:
    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        kms_seal, seal = store.seal(store.folder.parent / "kms.key"), Seal.load_or_create(key)
        keys = await KeyStore.open(store.records("kms"), kms_seal, region="us-east-1", account=ACCOUNT)
        secrets = store.records("secrets")
        made = await SecretStore.open(secrets, seal, region="us-east-1", account=ACCOUNT, vault=keys)
        return {"secretsmanager": made.api, "kms": keys.api}

    with served(factory) as running:
        yield running


@pytest.fixture
def client(place: Served) -> Any:
    return boto3.client("secretsmanager", config=Config(retries={"max_attempts": 1}), **place.client_kwargs)


@pytest.fixture
def name() -> str:
    return f"ward/{uuid.uuid4().hex[:8]}"


def refused(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_secret_s_life(client: Any, name: str) -> None:
    made = client.create_secret(
        Name=name, SecretString="one", Description="of the pump", Tags=[{"Key": "ward", "Value": "7"}]
    )
    assert made["ARN"].startswith(f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:{name}-")
    for identifier in (name, made["ARN"], made["ARN"].rpartition("-")[0]):
        found = client.get_secret_value(SecretId=identifier)
        assert (found["SecretString"], found["VersionId"], found["VersionStages"]) == (
            "one",
            made["VersionId"],
            ["AWSCURRENT"],
        )
    put = client.put_secret_value(SecretId=name, SecretBinary=b"\x00two")
    assert client.get_secret_value(SecretId=name)["SecretBinary"] == b"\x00two"
    assert client.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    assert client.get_secret_value(SecretId=name, VersionId=made["VersionId"])["SecretString"] == "one"
    client.update_secret(SecretId=name, Description="of the other pump", SecretString="three")
    told = client.describe_secret(SecretId=name)
    assert told["Description"] == "of the other pump" and told["Tags"] == [{"Key": "ward", "Value": "7"}]
    assert told["VersionIdsToStages"][put["VersionId"]] == ["AWSPREVIOUS"]
    assert made["VersionId"] not in told["VersionIdsToStages"]
    listed = client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
    assert {each["VersionId"]: each["VersionStages"] for each in listed}[made["VersionId"]] == []
    client.tag_resource(SecretId=name, Tags=[{"Key": "bed", "Value": "1"}])
    client.untag_resource(SecretId=name, TagKeys=["ward"])
    assert client.describe_secret(SecretId=name)["Tags"] == [{"Key": "bed", "Value": "1"}]


def test_a_token_makes_a_call_once(client: Any, name: str) -> None:
    token = str(uuid.uuid4())
    first = client.create_secret(Name=name, SecretString="a", ClientRequestToken=token)
    assert client.create_secret(Name=name, SecretString="a", ClientRequestToken=token)["ARN"] == first["ARN"]
    with pytest.raises(client.exceptions.ResourceExistsException):
        client.create_secret(Name=name, SecretString="b")
    with pytest.raises(client.exceptions.ResourceExistsException):
        client.put_secret_value(SecretId=name, SecretString="b", ClientRequestToken=token)
    other = str(uuid.uuid4())
    for _ in range(2):
        client.put_secret_value(SecretId=name, SecretString="c", ClientRequestToken=other)
    assert client.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["VersionId"] == token


def test_stages_move(client: Any, name: str) -> None:
    one = client.create_secret(Name=name, SecretString="1")["VersionId"]
    two = client.put_secret_value(SecretId=name, SecretString="2", VersionStages=["next"])["VersionId"]
    assert client.get_secret_value(SecretId=name)["SecretString"] == "1"
    assert client.get_secret_value(SecretId=name, VersionStage="next")["SecretString"] == "2"
    with pytest.raises(client.exceptions.InvalidRequestException):
        client.get_secret_value(SecretId=name, VersionId=one, VersionStage="next")
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=two)
    client.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=one, MoveToVersionId=two
    )
    assert client.describe_secret(SecretId=name)["VersionIdsToStages"] == {
        one: ["AWSPREVIOUS"],
        two: ["next", "AWSCURRENT"],
    }


def test_deleted_is_restored_or_gone(client: Any, name: str) -> None:
    client.create_secret(Name=name, SecretString="1")
    deleted = client.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    assert 6.9 * DAY < deleted["DeletionDate"].timestamp() - time.time() < 7.1 * DAY
    for act in (
        lambda: client.get_secret_value(SecretId=name),
        lambda: client.put_secret_value(SecretId=name, SecretString="2"),
        lambda: client.create_secret(Name=name, SecretString="2"),
        lambda: client.delete_secret(SecretId=name),
    ):
        with pytest.raises(client.exceptions.InvalidRequestException):
            act()
    assert name not in names(client) and name in names(client, IncludePlannedDeletion=True)
    client.restore_secret(SecretId=name)
    assert client.get_secret_value(SecretId=name)["SecretString"] == "1"
    client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_secret_value(SecretId=name)
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.delete_secret(SecretId=name, RecoveryWindowInDays=3)
    client.create_secret(Name=name, SecretString="anew")
    assert client.get_secret_value(SecretId=name)["SecretString"] == "anew"


def names(client: Any, **more: Any) -> list[str]:
    pages = client.get_paginator("list_secrets").paginate(PaginationConfig={"PageSize": 2}, **more)
    return [each["Name"] for page in pages for each in page["SecretList"]]


def test_lists_are_filtered_and_sorted(client: Any, name: str) -> None:
    for number in (2, 1, 3):
        client.create_secret(Name=f"{name}/{number}", Tags=[{"Key": f"k{name}", "Value": str(number)}])
    wanted = [f"{name}/{number}" for number in (1, 2, 3)]
    mine = {"Key": "name", "Values": [name]}
    assert names(client, Filters=[mine]) == wanted
    assert names(client, Filters=[mine], SortOrder="desc") == wanted[::-1]
    assert names(client, Filters=[mine], SortBy="created-date") == [wanted[1], wanted[0], wanted[2]]
    assert names(client, Filters=[{"Key": "tag-key", "Values": [f"k{name}"]}]) == wanted
    assert names(client, Filters=[mine, {"Key": "tag-value", "Values": ["!3"]}]) == wanted[:2]


def test_what_is_refused(client: Any, name: str) -> None:
    client.create_secret(Name=name)
    for code, act in (
        ("ResourceNotFoundException", lambda: client.get_secret_value(SecretId=name)),
        ("ResourceNotFoundException", lambda: client.describe_secret(SecretId="nothing")),
        ("InvalidParameterException", lambda: client.create_secret(Name="a b")),
        ("EncryptionFailure", lambda: client.create_secret(Name=name + "2", KmsKeyId="alias/mine")),
        (
            "InvalidParameterException",
            lambda: client.put_secret_value(SecretId=name, SecretString="a", SecretBinary=b"b"),
        ),
        ("InvalidRequestException", lambda: client.put_secret_value(SecretId=name)),
        ("NotImplemented", lambda: client.rotate_secret(SecretId=name)),
        ("NotImplemented", lambda: client.create_secret(Name=name + "2", AddReplicaRegions=[{"Region": "eu-west-1"}])),
    ):
        with pytest.raises(ClientError) as error:
            act()
        assert refused(error) == code


def test_a_password(client: Any) -> None:
    made = client.get_random_password(PasswordLength=12, ExcludePunctuation=True)["RandomPassword"]
    assert len(made) == 12 and made.isalnum()
    assert client.get_random_password(PasswordLength=9, ExcludeCharacters="a")["RandomPassword"].count("a") == 0


def test_deprecated_versions_do_not_pile_up(client: Any, name: str) -> None:
    client.create_secret(Name=name, SecretString="0")
    for number in range(MOST_DEPRECATED + 5):
        client.put_secret_value(SecretId=name, SecretString=str(number))
    listed = client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
    assert len(listed) == MOST_DEPRECATED + 2


def test_no_secret_is_in_the_clear(
    client: Any, place: Served, name: str, key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client.create_secret(Name=name, SecretString="a-very-rare-word")
    client.put_secret_value(SecretId=name, SecretString="another-rare-word")
    assert client.get_secret_value(SecretId=name)["SecretString"] == "another-rare-word"
    files = [file for file in place.folder.rglob("*") if file.is_file()]
    assert files and not any(b"rare-word" in file.read_bytes() for file in files)
    mine = [each.getMessage() for each in caplog.records if each.name.startswith("littoral")]
    assert not any("rare-word" in each for each in mine)
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_aws_cli(place: Served, name: str) -> None:
    def run(*arguments: str) -> Any:
        command = [sys.executable, "-m", "awscli", "secretsmanager", *arguments]
        env = {**os.environ, **place.env}
        return json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)

    run("create-secret", "--name", name, "--secret-string", '{"user": "pump"}')
    assert json.loads(run("get-secret-value", "--secret-id", name)["SecretString"]) == {"user": "pump"}


async def test_a_restart_keeps_them_and_another_key_opens_none(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store")
    records, key = store.records("secrets"), tmp_path / "key"
    api = (await opened(records, key)).api
    call: Any = type("Call", (), {"now": time.time()})()
    await api.create_secret(call, name="a", secret_string="one")
    again = (await opened(records, key)).api
    assert (await again.get_secret_value(call, secret_id="a"))["SecretString"] == "one"
    other = (await opened(records, tmp_path / "key2")).api
    with pytest.raises(Exception, match="DecryptionFailure"):
        await other.get_secret_value(call, secret_id="a")
    await store.close()


async def test_a_version_is_there_until_the_secret_without_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await EmbeddedStore.open(tmp_path / "store")
    records = store.records("secrets")
    api = (await opened(records, tmp_path / "key")).api
    call: Any = type("Call", (), {"now": time.time()})()
    await api.create_secret(call, name="a", secret_string="0")
    for number in range(1, MOST_DEPRECATED + 2):
        call.now += 1
        await api.put_secret_value(call, secret_id="a", secret_string=str(number))
    listed = await api.list_secret_version_ids(call, secret_id="a", include_deprecated=True)
    oldest = min(listed["Versions"], key=lambda each: each["CreatedDate"])["VersionId"]

    async def refuse(*_: Any, **__: Any) -> int:
        raise StorageFailed("full")

    with monkeypatch.context() as patch:
        patch.setattr(Documents, "put", refuse)  # of the secret; its values are records
        with pytest.raises(Exception, match="full"):
            await api.put_secret_value(call, secret_id="a", secret_string="one more")
    assert (await api.get_secret_value(call, secret_id="a", version_id=oldest))["SecretString"] == "0"
    await api.put_secret_value(call, secret_id="a", secret_string="one more")
    with pytest.raises(Exception, match="ResourceNotFound"):
        await api.get_secret_value(call, secret_id="a", version_id=oldest)
    assert len(await records.scan("value/")) <= MOST_DEPRECATED + 3  # one of them is that of the write that failed
    await store.close()


async def test_whose_time_has_come_is_gone_from_the_disk(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store")
    records = store.records("secrets")
    api = (await opened(records, tmp_path / "key")).api
    call: Any = type("Call", (), {"now": time.time()})()
    await api.create_secret(call, name="a", secret_string="one")
    await api.delete_secret(call, secret_id="a")
    call.now += 31 * DAY
    with pytest.raises(Exception, match="ResourceNotFound"):
        await api.describe_secret(call, secret_id="a")
    catalog = Catalog(records, Seal.load_or_create(tmp_path / "key"))
    await catalog.load()
    await catalog.purge(call.now)
    assert list(await records.scan()) == []
    await store.close()


def test_what_is_sealed_opens_whole_and_for_what_it_was_sealed(tmp_path: Path) -> None:
    seal = Seal.load_or_create(tmp_path / "key")
    sealed = seal.seal(b"secret", "a")
    assert Seal.load_or_create(tmp_path / "key").open(sealed, "a") == b"secret"
    for broken, about in ((sealed, "b"), (sealed[:-1], "a"), (b"", "a"), (bytes(len(sealed)), "a")):
        with pytest.raises(CannotOpen):
            seal.open(broken, about)
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(CannotOpen):
        Seal.load_or_create(tmp_path / "key")


@pytest.fixture
def kms(place: Served) -> Any:
    return boto3.client("kms", config=Config(retries={"max_attempts": 1}), **place.client_kwargs)


@pytest.fixture
def kms_key(kms: Any) -> str:
    made: str = kms.create_key()["KeyMetadata"]["Arn"]
    return made


def code_of(method: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        method(**arguments)
    return refused(error)


def value(client: Any, name: str, **more: Any) -> str:
    found: str = client.get_secret_value(SecretId=name, **more)["SecretString"]
    return found


def test_a_secret_under_a_key_of_kms_is_read_while_that_may_be_used(
    client: Any, kms: Any, kms_key: str, name: str
) -> None:
    client.create_secret(Name=name, SecretString="one", KmsKeyId=kms_key)
    assert client.describe_secret(SecretId=name)["KmsKeyId"] == kms_key
    assert value(client, name) == "one"
    kms.disable_key(KeyId=kms_key)
    assert code_of(client.get_secret_value, SecretId=name) == "DecryptionFailure"
    assert code_of(client.put_secret_value, SecretId=name, SecretString="two") == "EncryptionFailure"
    assert client.describe_secret(SecretId=name)["KmsKeyId"] == kms_key
    kms.enable_key(KeyId=kms_key)
    client.put_secret_value(SecretId=name, SecretString="two")
    assert (value(client, name), value(client, name, VersionStage="AWSPREVIOUS")) == ("two", "one")
    versions = client.list_secret_version_ids(SecretId=name)["Versions"]
    assert [each["KmsKeyIds"] for each in versions] == [[kms_key], [kms_key]]
    kms.schedule_key_deletion(KeyId=kms_key)
    assert code_of(client.get_secret_value, SecretId=name) == "DecryptionFailure"


def test_a_key_that_cannot_be_used_makes_no_secret(client: Any, kms: Any, name: str) -> None:
    disabled, leaving = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    kms.disable_key(KeyId=disabled)
    kms.schedule_key_deletion(KeyId=leaving)
    for key in (disabled, leaving, str(uuid.uuid4()), "alias/nobody"):
        assert code_of(client.create_secret, Name=name, SecretString="one", KmsKeyId=key) == "EncryptionFailure"
        assert code_of(client.create_secret, Name=name, KmsKeyId=key) == "EncryptionFailure"
    assert code_of(client.describe_secret, SecretId=name) == "ResourceNotFoundException"


def test_another_key_takes_over_the_values_that_have_a_stage(client: Any, kms: Any, kms_key: str, name: str) -> None:
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    client.create_secret(Name=name, SecretString="one")
    client.put_secret_value(SecretId=name, SecretString="two")
    assert "KmsKeyId" not in client.describe_secret(SecretId=name)
    client.update_secret(SecretId=name, KmsKeyId=kms_key)
    client.update_secret(SecretId=name, Description="the key stays")
    kms.disable_key(KeyId=kms_key)
    assert code_of(client.get_secret_value, SecretId=name) == "DecryptionFailure"
    assert code_of(client.update_secret, SecretId=name, KmsKeyId=other) == "DecryptionFailure"
    kms.enable_key(KeyId=kms_key)
    client.update_secret(SecretId=name, KmsKeyId=other)
    kms.disable_key(KeyId=kms_key)
    assert (value(client, name), value(client, name, VersionStage="AWSPREVIOUS")) == ("two", "one")
    client.update_secret(SecretId=name, KmsKeyId="", SecretString="three")
    kms.disable_key(KeyId=other)
    assert (value(client, name), value(client, name, VersionStage="AWSPREVIOUS")) == ("three", "two")
    assert "KmsKeyId" not in client.describe_secret(SecretId=name)
    own = f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/aws/secretsmanager"
    client.update_secret(SecretId=name, KmsKeyId=own)
    assert "KmsKeyId" not in client.describe_secret(SecretId=name)
