from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ledgerfed.datasets.derive_dryer import HEADER, derive, main, parse, read_source
from ledgerfed.datasets.industry import DRYER, TAGS
from ledgerfed.errors import InvalidValueError


def source(*lengths: int) -> np.ndarray:
    """A table of the source's shape: tag c of sample t of batch b reads 100 b + t + c / 100,000."""
    rows = [
        [b, *(100 * b + t + c / 100_000 for c in range(len(TAGS))), t]
        for b, length in enumerate(lengths, 1)
        for t in range(length)
    ]
    return np.array(rows, dtype=np.float64)


def test_every_sample_of_every_tag_is_kept_and_the_batches_by_their_lengths() -> None:
    arrays = derive(source(3, 2))
    assert tuple(arrays) == DRYER.names
    assert arrays["lengths"].tolist() == [3, 2]
    assert arrays["tags"].dtype == np.int32
    np.testing.assert_array_equal(
        arrays["tags"][0], [10_000_000, 10_100_000, 10_200_000, 20_000_000, 20_100_000]
    )
    np.testing.assert_array_equal(arrays["tags"][9] - arrays["tags"][0], [9] * 5)


def test_a_reading_is_rounded_to_the_nearest_integer_not_cut() -> None:
    table = source(1)
    table[0, 1] = 0.00015
    assert table[0, 1] * 100_000 < 15
    assert derive(table)["tags"][0, 0] == 15


def test_batches_out_of_order_and_samples_out_of_step_are_refused() -> None:
    late = source(3, 2)
    late[4, -1] = 5
    for table, words in (
        (source(3, 2)[::-1], "not numbered 1, 2"),
        (source(3, 2)[3:], "not numbered 1, 2"),
        (np.delete(source(3, 2), 1, axis=0), "not counted 0, 1"),
        (late, "not counted 0, 1"),
    ):
        with pytest.raises(InvalidValueError, match=words):
            derive(table)


def test_readings_that_the_integers_cannot_hold_are_refused() -> None:
    table = source(3)
    table[1, 4] += 0.000005
    with pytest.raises(InvalidValueError, match="no multiples of 1/100000"):
        derive(table)


def test_the_text_is_read_and_other_columns_or_cells_are_refused() -> None:
    header, row = ",".join(HEADER), ",".join(["1", *["0.5"] * 10, "0"])
    np.testing.assert_array_equal(parse([header, row]), [[1, *[0.5] * 10, 0]])
    for lines, words in (
        ([header.replace("AgitatorPower", "Power"), row], "the columns are"),
        ([header, row.replace("0.5", "", 1)], "no number"),
        ([header, row.replace("0.5", "nan", 1)], "not finite"),
        ([header, row, row[:-2]], "no number"),
    ):
        with pytest.raises(InvalidValueError, match=words):
            parse(lines)


def test_another_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidValueError, match="the wheel has SHA-256"):
        read_source(b"PK\x03\x04")
    before = DRYER.path.read_bytes()
    wheel = tmp_path / "process_improve-2.2.0-py3-none-any.whl"
    wheel.write_bytes(b"PK\x03\x04")
    assert main([str(wheel)]) == 1
    assert "expected 6d4c9392" in capsys.readouterr().err
    assert DRYER.path.read_bytes() == before
