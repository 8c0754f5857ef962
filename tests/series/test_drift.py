from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.series import DriftMonitor, DriftRule, DriftStatus, drift_status
from ledgerfed.series.adwin import AdwinRule
from ledgerfed.series.cusum import CusumRule
from ledgerfed.series.drift import squared_steps

ADWIN_ONLY = DriftRule(cusum=None)
CUSUM_ONLY = DriftRule(adwin=None)
BOTH = DriftRule()


def errors(seed: int = 0, quiet: int = 300, loud: int = 100, factor: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.standard_normal(quiet), factor * rng.standard_normal(loud)])


def watch(values: np.ndarray, monitor: DriftMonitor) -> DriftMonitor:
    for value in values:
        monitor, _ = monitor.update(float(value))
    return monitor


@pytest.mark.parametrize(
    ("rule", "name", "latest", "earliest"),
    [(ADWIN_ONLY, "adwin", 50, 200), (CUSUM_ONLY, "cusum", 20, 280)],
)
def test_errors_that_grew_are_noticed_and_dated(
    rule: DriftRule, name: str, latest: int, earliest: int
) -> None:
    for seed in range(10):
        status = drift_status(errors(seed, factor=3.0), rule)
        assert status.detector == name
        assert status.at is not None
        assert status.since is not None
        assert 300 <= status.at < 300 + latest
        assert earliest <= status.since <= min(status.at, 310)


@pytest.mark.parametrize("rule", [ADWIN_ONLY, CUSUM_ONLY, BOTH])
def test_errors_that_stay_or_fall_are_no_drift(rule: DriftRule) -> None:
    for seed in range(10):
        assert drift_status(errors(seed, factor=1.0), rule) == DriftStatus()
        assert drift_status(errors(seed, loud=300, factor=0.3), rule) == DriftStatus()


def test_with_both_detectors_the_first_alarm_counts() -> None:
    for seed in range(10):
        alone = [drift_status(errors(seed), rule).at for rule in (ADWIN_ONLY, CUSUM_ONLY)]
        both = drift_status(errors(seed))
        assert both.at == min(at for at in alone if at is not None)


def test_missing_errors_are_skipped_and_places_still_count_rows() -> None:
    values = errors()
    plain = drift_status(values)
    gaps = np.full(2 * len(values), np.nan)
    gaps[1::2] = values
    found = drift_status(gaps)
    assert plain.since is not None
    assert plain.at is not None
    assert found == replace(plain, since=2 * plain.since + 1, at=2 * plain.at + 1)
    assert drift_status(np.full(50, np.nan)) == DriftStatus()


@pytest.mark.parametrize("rule", [ADWIN_ONLY, CUSUM_ONLY, BOTH])
def test_the_unit_of_the_errors_does_not_matter(rule: DriftRule) -> None:
    for seed in range(5):
        assert drift_status(16.0 * errors(seed), rule) == drift_status(errors(seed), rule)


def test_an_alarm_is_the_last_word_of_a_monitor() -> None:
    monitor = watch(errors(), DriftMonitor())
    assert monitor.status == drift_status(errors())
    after, alarm = monitor.update(0.0)
    assert alarm
    assert after == monitor


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cut=st.integers(0, 400),
    rule=st.sampled_from([ADWIN_ONLY, CUSUM_ONLY, BOTH]),
)
def test_a_node_that_restarts_goes_on_where_it_was(seed: int, cut: int, rule: DriftRule) -> None:
    values = errors(seed)
    whole = watch(values, DriftMonitor(rule))
    stopped = json.loads(json.dumps(watch(values[:cut], DriftMonitor(rule)).document()))
    assert watch(values[cut:], DriftMonitor.from_document(stopped)) == whole


def test_another_rule_survives_a_restart_too() -> None:
    rule = DriftRule(AdwinRule(Fraction(3, 700), 8, 4, 6, 20, 512), CusumRule(999, 7, 11), 17)
    monitor = watch(errors(loud=0), DriftMonitor(rule))
    assert DriftMonitor.from_document(monitor.document()) == monitor


def test_a_document_of_something_else_is_refused() -> None:
    document = watch(errors(loud=0), DriftMonitor()).document()
    for key in document:
        with pytest.raises(InvalidValueError, match="not the document of a drift monitor"):
            DriftMonitor.from_document({k: v for k, v in document.items() if k != key})
    with pytest.raises(InvalidValueError, match="remove unknown keys"):
        DriftMonitor.from_document({**document, "more": 1})


def test_errors_are_rounded_half_to_even_to_a_grid() -> None:
    step = 2.0**-20
    found = squared_steps(np.array([2.5 * step, 3.5 * step, -1.4 * step, 1e9]))
    assert found.tolist() == [4, 16, 1, 1 << 60]
    for value in (2.5 * step, -7.5 * step, 0.3, -1e9):
        monitor, _ = DriftMonitor().update(value)
        assert monitor.first == squared_steps(np.array([value]))[0]


def test_alarms_do_not_hang_on_the_last_bits_of_an_error() -> None:
    values = np.rint(errors() * 2**20) / 2**20
    nudged = values + np.random.default_rng(1).uniform(-1e-9, 1e-9, len(values))
    assert watch(nudged, DriftMonitor()) == watch(values, DriftMonitor())


def test_what_cannot_be_watched_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="must be finite, got inf"):
        drift_status(np.array([0.1, np.inf]))
    with pytest.raises(InvalidValueError, match="no detector is left"):
        DriftRule(None, None)
    with pytest.raises(InvalidValueError, match="at least 2 errors"):
        DriftRule(warmup=1)
