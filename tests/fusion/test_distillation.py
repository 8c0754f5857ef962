from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from ledgerfed.datasets import TRANSIT_BASIS, load_transit
from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import Design, design, information
from ledgerfed.fusion.distillation import Lesson, Probe, ensemble, make_probe, student, teach
from ledgerfed.models import load_family
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.hashing import keccak
from ledgerfed.series import Window, align, split, standardisation

DAYS = 60
PANELS = load_transit()


@cache
def station(index: int) -> Design:
    panel = PANELS[index]
    train = split(panel).train
    aligned = align(panel)
    return design(aligned, TRANSIT_BASIS, standardisation(aligned, train)).within(train)


@pytest.fixture(scope="module")
def probe() -> Probe:
    return make_probe(station(0))


@dataclass(frozen=True)
class Constant:
    """A teacher that always says the same, and nothing in its first `warm` rows."""

    value: float
    warm: int = 0
    family: str = "constant"
    parameters: tuple[float, ...] = ()

    def one_step(self, design: Design) -> np.ndarray:
        return np.where(np.arange(len(design.y)) < self.warm, np.nan, self.value)


def test_a_probe_is_pinned_by_the_hash_of_its_document(probe: Probe) -> None:
    assert probe.hash() == keccak(canonical_json(probe.document()))
    again = Probe.from_document(json.loads(canonical_json(probe.document())), TRANSIT_BASIS)
    assert again.hash() == probe.hash()
    for changes in ({"start": probe.start + 1}, {"y": probe.y + 1}, {"X": probe.X + 1}):
        assert replace(probe, **changes).hash() != probe.hash()  # type: ignore[arg-type]
    other = replace(TRANSIT_BASIS, lags=(1, 2, 3, 4, 5, 6, 7, 21))
    assert replace(probe, basis=other).hash() != probe.hash()


def test_a_probe_gives_back_its_rows_to_a_fraction_of_a_deviation(probe: Probe) -> None:
    public = station(0)
    rows = probe.design()
    np.testing.assert_allclose(rows.X, public.X[-DAYS:], atol=2.0**-13)
    np.testing.assert_allclose(rows.y, public.y[-DAYS:], atol=2.0**-13)
    np.testing.assert_array_equal(rows.times, public.times[-DAYS:])
    assert rows.rows.all()


def test_what_is_no_probe_is_refused(probe: Probe) -> None:
    document = probe.document()
    for wrong in ({"X": "x"}, {"y": [0.5] * DAYS}, {"extra": 1}, {"basis": "00"}, {"y": [1 << 21] * DAYS}):
        with pytest.raises(InvalidValueError):
            Probe.from_document(document | wrong, TRANSIT_BASIS)
    with pytest.raises(InvalidValueError, match="a probe on 12 columns"):
        replace(probe, y=probe.y[1:])
    public = station(0)
    rows = public.rows.copy()
    rows[-3] = False
    with pytest.raises(InvalidValueError, match="is not complete"):
        make_probe(replace(public, rows=rows))


def test_a_teacher_speaks_where_it_can_with_the_precision_it_has_at_home(probe: Probe) -> None:
    lesson = teach(Constant(0.5, warm=7), probe, s2=0.25)
    assert lesson.precision.tolist() == [0.0] * 7 + [4.0] * (DAYS - 7)
    assert lesson.values.tolist() == [0.0] * 7 + [0.5] * (DAYS - 7)
    with pytest.raises(InvalidValueError, match="one row must be taught"):
        teach(Constant(0.5, warm=DAYS), probe, s2=0.25)
    with pytest.raises(InvalidValueError, match="s2 must be positive"):
        teach(Constant(0.5), probe, s2=0.0)


def test_the_ensemble_is_the_mean_by_precision_with_the_variance_of_the_mixture(probe: Probe) -> None:
    sharp, dull = teach(Constant(1.0, warm=3), probe, 0.5), teach(Constant(4.0), probe, 2.0)
    mixed = ensemble([sharp, dull])
    assert mixed.values[:3].tolist() == [4.0] * 3
    assert mixed.precision[:3].tolist() == [0.5] * 3
    np.testing.assert_allclose(mixed.values[3:], 1.6)
    np.testing.assert_allclose(1 / mixed.precision[3:], 0.8 * (0.5 + 0.36) + 0.2 * (2.0 + 5.76))
    np.testing.assert_allclose(ensemble([sharp, dull], [1.0, 4.0]).values[3:], 2.5)
    assert not ensemble([sharp, dull], [1.0, 0.0]).precision[:3].any()


def test_agreeing_teachers_do_not_grow_more_certain_with_their_number(probe: Probe) -> None:
    lesson = teach(Constant(1.0), probe, 0.5)
    np.testing.assert_allclose(ensemble([lesson] * 9).precision, 2.0)


def test_lessons_that_do_not_belong_together_are_refused(probe: Probe) -> None:
    lesson = teach(Constant(1.0), probe, 0.5)
    with pytest.raises(InvalidValueError, match="lessons on one probe"):
        ensemble([lesson, Lesson(np.zeros(3), np.ones(3))])
    with pytest.raises(InvalidValueError, match="lessons on one probe"):
        ensemble([])
    with pytest.raises(InvalidValueError, match="must not be negative"):
        ensemble([lesson], [-1.0])
    with pytest.raises(InvalidValueError, match="no precision may be negative"):
        Lesson(np.zeros(2), np.array([1.0, -1.0]))
    X, y = station(1).sample()
    with pytest.raises(InvalidValueError, match="does not fit the probe"):
        student(probe, Lesson(np.zeros(3), np.ones(3)), information(X, y, y, 1.0))


def test_a_student_is_the_weighted_fit_to_its_own_rows_and_the_lesson(probe: Probe) -> None:
    own = station(1)
    X, y = own.sample()
    info = information(X, y, y, 1.0)
    lesson = ensemble([teach(load_family("arx").fit(station(k)), probe, 0.1 * k) for k in (2, 3)])
    learned = student(probe, lesson, info, weight=0.5)
    scale = np.sqrt(0.5 * lesson.precision)
    rows = np.vstack([X / np.sqrt(info.s2), scale[:, None] * probe.design().X, 2.0**-5 * np.eye(12)])
    answers = np.concatenate([y / np.sqrt(info.s2), scale * lesson.values, np.zeros(12)])
    np.testing.assert_allclose(learned.theta(), np.linalg.lstsq(rows, answers)[0], rtol=1e-6, atol=1e-9)
    error = y - X @ learned.theta()
    assert learned.residual == pytest.approx(float(error @ error) / info.s2)
    assert (learned.n, learned.s2) == (info.n, info.s2)
    np.testing.assert_allclose(student(probe, lesson, info, weight=0.0).theta(), info.theta(), rtol=1e-9)


def test_a_node_with_a_week_of_data_learns_from_teachers_of_other_families(probe: Probe) -> None:
    teachers = [load_family(name).fit(station(k)) for k, name in enumerate(("arx", "ar", "arx"), start=2)]
    lesson = ensemble([teach(teacher, probe, 0.1) for teacher in teachers])
    short = station(1)
    few = short.within(Window(len(short.y) - 14, len(short.y)))
    X, y = few.sample()
    own = information(X, y, y, 1.0, s2=0.1)
    later = PANELS[1]
    aligned = align(later)
    windows = split(later)
    test = design(aligned, TRANSIT_BASIS, standardisation(aligned, windows.train)).within(windows.test)
    rows, truth = test.sample()
    alone, taught = (
        float(np.mean((truth - rows @ theta) ** 2))
        for theta in (own.theta(), student(probe, lesson, own).theta())
    )
    assert taught < 0.8 * alone
