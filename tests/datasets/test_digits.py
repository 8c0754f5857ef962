from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ledgerfed.datasets.derive_digits import derive, main, parse, read_source
from ledgerfed.datasets.digits import DIGITS, IMAGES, load_digits
from ledgerfed.errors import InvalidValueError

ROW = ",".join([*map(str, range(17)), *["0"] * 47, "7"])


def test_the_digits_are_all_there_with_ink_from_none_to_full() -> None:
    digits = load_digits()
    assert digits.pixels.shape == (IMAGES, 64)
    assert (digits.pixels.min(), digits.pixels.max()) == (0.0, 1.0)
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_a_row_is_64_pixels_and_the_digit() -> None:
    arrays = derive(parse([ROW, ROW]))
    assert tuple(arrays) == DIGITS.names
    assert arrays["pixels"].dtype == arrays["labels"].dtype == np.uint8
    assert arrays["pixels"][1, :17].tolist() == list(range(17))
    assert arrays["labels"].tolist() == [7, 7]


@pytest.mark.parametrize("row", [ROW[2:], ROW + ",1", ROW.replace("16", "-1"), ROW.replace("16", "1.5")])
def test_rows_of_anything_else_are_refused(row: str) -> None:
    with pytest.raises(InvalidValueError, match="line 2 is not 64 pixels"):
        parse([ROW, row])


@pytest.mark.parametrize("row", [ROW.replace("16", "17"), ROW[:-1] + "10"])
def test_pixels_and_labels_out_of_range_are_refused(row: str) -> None:
    with pytest.raises(InvalidValueError, match=r"not in 0\.\.16 or a label"):
        derive(parse([ROW, row]))


def test_another_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidValueError, match="the wheel has SHA-256"):
        read_source(b"PK\x03\x04")
    before = DIGITS.path.read_bytes()
    wheel = tmp_path / "scikit_learn-1.9.1.whl"
    wheel.write_bytes(b"PK\x03\x04")
    assert main([str(wheel)]) == 1
    assert "expected 52a0703b" in capsys.readouterr().err
    assert DIGITS.path.read_bytes() == before
