"""Where settings come from, what is said about wrong ones, and that the documentation is the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from littoral.cli.settings import described, markdown
from littoral.site.settings import TABLE, Loaded, SettingsError, check_runnable, load

ROOT = Path(__file__).parents[2]


def loaded(home: Path, flags: dict[str, str | None] | None = None, environ: dict[str, str] | None = None) -> Loaded:
    return load(flags or {}, environ or {}, home)


def test_the_documentation_is_the_table() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == markdown(), (
        "run: littoral settings --markdown > docs/settings.md"
    )
    for row in TABLE:
        assert row.meaning, row.name


def test_flag_beats_variable_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "place.toml"
    assert loaded(tmp_path).settings.edge_port == 8080
    file.write_text("edge_port = 1")
    environ = {"LITTORAL_CONFIG": str(file)}
    assert (loaded(tmp_path, {}, environ).settings.edge_port, loaded(tmp_path, {}, environ).sources["edge_port"]) == (
        1,
        str(file),
    )
    environ["LITTORAL_EDGE_PORT"] = "2"
    assert loaded(tmp_path, {}, environ).settings.edge_port == 2
    found = loaded(tmp_path, {"edge_port": "3"}, environ)
    assert (found.settings.edge_port, found.sources["edge_port"]) == (3, "--edge-port")


def test_the_file_of_the_user_is_read_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / ".config" / "littoral" / "littoral.toml"
    file.parent.mkdir(parents=True)
    file.write_text('name = "mine"\nport = "off"\nauth = false\nfunctions_idle = 1.5\n')
    settings = loaded(tmp_path).settings
    assert (settings.name, settings.port, settings.auth, settings.functions_idle) == ("mine", None, False, 1.5)
    elsewhere = tmp_path / "xdg" / "littoral" / "littoral.toml"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text('name = "other"')
    assert loaded(tmp_path, {}, {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}).settings.name == "other"


def test_names_and_folders_follow_the_kind(tmp_path: Path) -> None:
    data = tmp_path / ".local" / "share" / "littoral"
    assert loaded(tmp_path).settings.data_dir == data / "local"
    assert loaded(tmp_path, {"kind": "core"}).settings.data_dir == data / "core"
    assert loaded(tmp_path, {"kind": "core", "name": "ward7"}).settings.data_dir == data / "ward7"
    assert loaded(tmp_path, {}, {"XDG_DATA_HOME": "/x"}).settings.data_dir == Path("/x/littoral/local")
    assert loaded(tmp_path, {"data_dir": "d"}).settings.data_dir == Path("d").absolute()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "-1"),
        ("port", "http"),
        ("port", "²"),
        ("edge_port", ""),
        ("name", "a/b"),
        ("name", "../x"),
        ("name", "x" * 129),
        ("region", "mars"),
        ("account", "12"),
        ("host", "a b"),
        ("upstream", "region.example"),
        ("upstream", "ftp://a"),
        ("upstream", "http://u:p@a"),
        ("upstream", "http://a/path"),
        ("upstream", "http://a:99999"),
        ("auth", "maybe"),
        ("grace", "-1"),
        ("grace", "nan"),
        ("grace", "soon"),
        ("functions_concurrency", "0"),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("kind", "moon"),
        ("data_dir", ""),
    ],
)
def test_wrong_values_are_one_line_with_setting_value_and_source(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, {name: value})
    text = str(caught.value)
    assert name.replace("_", "-") in text
    assert repr(value) in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("prot = 1", "prot"),
        ("[table]\nport = 1", "table"),
        ("port = ", "not valid TOML"),
        ("port = true", "port"),
        ("port = 1.5", "port"),
        ("name = 7", "name"),
        ("grace = true", "grace"),
        ('auth = "yes"', "auth"),
    ],
)
def test_wrong_files_are_one_line(tmp_path: Path, toml: str, said: str) -> None:
    file = tmp_path / "f.toml"
    file.write_text(toml)
    with pytest.raises(SettingsError, match=said) as caught:
        loaded(tmp_path, {"config": str(file)})
    assert "\n" not in str(caught.value)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no configuration file"):
        loaded(tmp_path, {"config": str(tmp_path / "none.toml")})
    with pytest.raises(SettingsError, match="cannot read"):
        loaded(tmp_path, {"config": str(tmp_path)})


def test_settings_that_cannot_hold_together(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both 7000"):
        loaded(tmp_path, {"port": "7000", "edge_port": "7000"})
    loaded(tmp_path, {"port": "0", "edge_port": "0", "mqtt_port": "off", "mqtt_tls_port": "off"})
    with pytest.raises(SettingsError, match="loopback"):
        loaded(tmp_path, {"auth": "off", "host": "0.0.0.0"})
    assert loaded(tmp_path, {"auth": "off"}).settings.auth is False


def test_secrets_have_no_flag_and_are_never_shown(tmp_path: Path) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "very-secret"}
    found = loaded(tmp_path, {}, environ)
    assert found.settings.upstream_secret_key == "very-secret"
    assert "very-secret" not in repr(found.settings)
    assert "very-secret" not in described(found)
    assert all(row.flag is None for row in TABLE if row.secret)
    own = {**environ, "LITTORAL_UPSTREAM_SECRET_KEY": "another"}
    assert loaded(tmp_path, {}, own).settings.upstream_secret_key == "another"


def test_a_credentials_file_gives_both_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = b%c\n")
    settings = loaded(tmp_path, {"upstream_credentials": str(file)}).settings
    assert (settings.upstream_access_key, settings.upstream_secret_key) == ("A", "b%c")
    for content in ("", "[other]\n", "[default]\naws_access_key_id = A\n", "x"):
        file.write_text(content)
        with pytest.raises(SettingsError, match="no access key"):
            loaded(tmp_path, {"upstream_credentials": str(file)})
    with pytest.raises(SettingsError, match="cannot read"):
        loaded(tmp_path, {"upstream_credentials": str(tmp_path / "none")})


def test_what_a_kind_needs(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.touch()
    check_runnable(loaded(tmp_path).settings)
    check_runnable(loaded(tmp_path, {"kind": "region"}).settings)
    keys = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
    edge: dict[str, str | None] = {"kind": "edge", "upstream": "http://a:1"}
    check_runnable(loaded(tmp_path, edge, keys).settings)
    with pytest.raises(SettingsError, match="AWS_SECRET_ACCESS_KEY"):
        check_runnable(loaded(tmp_path, edge, {"AWS_ACCESS_KEY_ID": "A"}).settings)
    with pytest.raises(SettingsError, match="--upstream"):
        check_runnable(loaded(tmp_path, {"kind": "edge"}, keys).settings)
    with pytest.raises(SettingsError, match="http://"):
        check_runnable(loaded(tmp_path, {**edge, "upstream": "mqtts://a:1"}, keys).settings)
    core: dict[str, str | None] = {"kind": "core", "upstream": "mqtts://a:1"}
    core |= {"certificate": str(pem), "private_key": str(pem)}
    check_runnable(loaded(tmp_path, core).settings)
    for missing in ("upstream", "certificate", "private_key"):
        with pytest.raises(SettingsError, match=missing.replace("_", "-")):
            check_runnable(loaded(tmp_path, {**core, missing: None}).settings)
    with pytest.raises(SettingsError, match="no file"):
        check_runnable(loaded(tmp_path, {**core, "ca": str(tmp_path / "none")}).settings)


def test_variables_that_are_no_setting_are_warned_of(tmp_path: Path) -> None:
    assert loaded(tmp_path, {}, {"LITTORAL_PROT": "1", "HOME": "/"}).warnings == (
        "LITTORAL_PROT is no setting and was not used",
    )
