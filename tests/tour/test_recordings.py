from pathlib import Path

import pytest

from littoral.tour.main import run
from littoral.tour.recordings import RecordingError, cut, read_csv, shipped


def test_the_shipped_recordings_give_every_patient_at_least_1200_points() -> None:
    patients = shipped(8, 88)
    assert len(patients) == 8
    assert all(len(patient.samples) >= 1200 for patient in patients)


def test_a_csv_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("time,ppg\n" + "".join(f"{i},{i % 50}\n" for i in range(2000)))
    whole = read_csv(file, "ppg", 50.0)
    assert (len(whole.samples), whole.seconds) == (2000, 40.0)
    assert len(cut(whole, 0, 30).samples) == 1500


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("a,b\n1,2\n", "hr", "no column 'hr'; its columns: a, b"),
        ("hr\n1\nx\n", "hr", "line 3: 'x' is not a number"),
        ("", "hr", "no column"),
    ],
)
def test_an_unusable_csv_is_refused_with_the_reason(tmp_path: Path, text: str, column: str, problem: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(RecordingError, match=problem):
        read_csv(file, column, 100)


def test_bad_usage_is_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--recording", str(tmp_path / "missing.csv")]) == 2
    assert run(["--speed", "0"]) == 2
    assert run(["--seconds", "3"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "a patient needs at least 1200" in lines[2]
