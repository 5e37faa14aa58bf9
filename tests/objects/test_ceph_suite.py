"""bench/s3_tests.py with a suite of its own: what pytest makes of it, it says."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def s3_tests(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))  # where its imports are, as where it is started as a script
    import s3_tests  # type: ignore[import-not-found]

    return s3_tests  # type: ignore[no-any-return]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "suite" / "s3tests" / "functional").mkdir(parents=True)
    (tmp_path / "suite" / "pytest.ini").write_text("[pytest]\nmarkers =\n    fails_on_aws\n")
    for name in ("s3", "headers"):
        written = "import beside\n\ndef test_it(): assert False\n"
        (tmp_path / "suite" / "s3tests" / "functional" / f"test_{name}.py").write_text(written)
    return tmp_path / "suite"


def test_a_suite_that_cannot_be_collected_is_no_result(
    s3_tests: ModuleType, suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="did not run: pytest ended with 2") as ended:
        s3_tests.run(suite, tmp_path / "s3tests.conf", "")
    assert isinstance(ended.value.code, str)  # which Python prints, and exits with 1
    assert "No module named 'beside'" in capsys.readouterr().err


def test_the_suite_finds_what_lies_on_the_python_path(
    s3_tests: ModuleType, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "beside.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    report = s3_tests.run(suite, tmp_path / "s3tests.conf", "")
    s3_tests.show(report, s3_tests.group_of, failed=False)
    assert report.read_text().count("<failure") == 2  # they ran, which is a result
