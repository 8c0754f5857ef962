from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ledgerfed.datasets import episodes, load_industry
from ledgerfed.datasets.episodes import EPISODE, LONGEST_LAG
from ledgerfed.datasets.industry import DRYER, TAGS
from ledgerfed.datasets.shipped import digest, read_arrays
from ledgerfed.errors import NotFoundError, StoreError
from ledgerfed.series import align


def column(target: str) -> list[np.ndarray]:
    """The tag of each of the 71 batches, from the panels with it as target."""
    return [panel.target[w.rows] for panel in load_industry(target) for w in episodes(panel)]


def test_twelve_panels_hold_six_consecutive_batches_each_the_last_five() -> None:
    panels = load_industry()
    assert [p.name for p in panels] == [f"dryer-{i}" for i in range(12)]
    assert [len(episodes(p)) for p in panels] == [6] * 11 + [5]
    lengths = [len(w) for p in panels for w in episodes(p)]
    assert lengths == read_arrays(DRYER)["lengths"].tolist()
    assert (min(lengths), max(lengths), sum(lengths)) == (89, 201, 9_220)
    for panel in panels:
        assert (panel.period, panel.target_name, panel.unit) == (60, "AgitatorPower", "unstated")


def test_the_first_rows_are_those_of_the_source() -> None:
    first = {tag: column(tag)[0][:2].tolist() for tag in TAGS}
    assert first == {
        "CollectorTankLevel": [0.0, 0.156],
        "DifferentialPressure": [0.648, 1.028],
        "DryerPressure": [119.94, 62.902],
        "AgitatorPower": [127.3, 138.4],
        "AgitatorTorque": [8.01, 8.01],
        "AgitatorSpeed": [39.515, 40.26],
        "JacketTemperatureSP": [100.0, 100.0],
        "JacketTemperature": [18.697, 38.654],
        "DryerTemperatureSP": [20.0, 41.161],
        "DryerTemp": [19.614, 20.247],
    }


@pytest.mark.parametrize("target", TAGS)
def test_any_tag_can_be_the_target_and_the_others_are_channels(target: str) -> None:
    for panel in load_industry(target):
        channels = [c for m in panel.modalities if m.name != EPISODE for c in m.channels]
        assert sorted([target, *channels]) == sorted(TAGS)
        for window in episodes(panel):
            assert not np.isnan(panel.target[window.rows]).any()


def test_the_modalities_are_parts_of_the_plant() -> None:
    assert {m.name: m.channels for m in load_industry("DryerTemp")[0].modalities} == {
        "agitator": ("AgitatorPower", "AgitatorTorque", "AgitatorSpeed"),
        "pressures": ("DifferentialPressure", "DryerPressure"),
        "temperatures": ("JacketTemperature",),
        "level": ("CollectorTankLevel",),
        "setpoints": ("JacketTemperatureSP", "DryerTemperatureSP"),
        EPISODE: ("elapsed",),
    }


def test_the_set_points_are_no_schedule_and_not_known_ahead() -> None:
    """They differ from batch to batch at the same sample: a controller sets them by what it measures."""
    assert [m.name for m in load_industry()[0].modalities if m.known_ahead] == [EPISODE]
    for tag in ("JacketTemperatureSP", "DryerTemperatureSP"):
        assert np.std([values[30] for values in column(tag)]) > 1


def test_nothing_of_a_batch_reaches_the_next_by_a_lag() -> None:
    for panel in load_industry():
        aligned = align(panel)
        for window in episodes(panel)[1:]:
            before = slice(window.start - LONGEST_LAG, window.start)
            assert np.isnan(aligned.target[before]).all()
            assert all(np.isnan(m.values[before]).all() for m in aligned.modalities)
            assert not any(np.isnan(m.values[window.rows]).any() for m in aligned.modalities)


def test_every_batch_heats_the_dryer_and_fills_the_tank() -> None:
    assert all(values.max() > values[0] + 30 for values in column("DryerTemp"))
    tank = column("CollectorTankLevel")
    assert all(values.max() > values[0] + 30 for values in tank)
    assert [batch for batch, values in enumerate(tank, 1) if values[0] != 0] == [27, 60, 71]


def test_an_unknown_tag_is_refused() -> None:
    with pytest.raises(NotFoundError, match="no column 'Moisture'"):
        load_industry("Moisture")


def test_the_shipped_arrays_are_those_that_the_script_derived() -> None:
    assert digest(read_arrays(DRYER)) == DRYER.sha256
    assert DRYER.path.stat().st_size < 300_000


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    altered = replace(DRYER, path=tmp_path / "altered.npz")
    arrays = read_arrays(DRYER)
    lengths = arrays["lengths"].copy()
    lengths[:2] += (1, -1)
    np.savez_compressed(altered.path, **(arrays | {"lengths": lengths}))
    with pytest.raises(StoreError, match="digest"):
        read_arrays(altered)
