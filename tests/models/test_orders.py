"""Orders, the season of a basis, and the choice of an order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange import Basis
from ledgerfed.models.orders import (
    LARGEST,
    ROWS_PER_COEFFICIENT,
    Order,
    aicc,
    choose,
    grid,
    near_unit_root,
    season_of,
)

DAY, HOUR = 86_400, 3_600


@pytest.mark.parametrize(
    ("period", "lags", "calendar", "season"),
    [
        (DAY, (1, 2, 7), (), 7),
        (DAY, (1, 2, 8), ("weekday:5",), 7),
        (DAY, (1, 2), ("weekday:5",), 0),
        (DAY, (1, 2), (), 0),
        (HOUR, (1, 24), (), 24),
        (HOUR, (1, 7), (), 0),
        (HOUR, (1, 30), ("weekday:5",), 0),
        (60, (1, 7), (), 0),
    ],
)
def test_the_season_follows_from_what_the_basis_speaks_of(
    period: int, lags: tuple[int, ...], calendar: tuple[str, ...], season: int
) -> None:
    assert season_of(Basis("y", "1", period, lags, (), calendar)) == season


def test_an_order_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="orders are 0 or more"):
        Order(p=-1)
    with pytest.raises(InvalidValueError, match="a season of 2 or more"):
        Order(Q=1)


def test_an_order_counts_its_coefficients_and_what_it_loses() -> None:
    order = Order(2, 1, 1, 1, 1, 1, 7)
    assert (order.size, order.lost, order.reach, order.has_mean) == (5, 8, 9, False)
    assert (Order(2, 0, 1).size, Order(0, 1, 1).size) == (4, 1)
    assert str(order) == "(2,1,1)(1,1,1)_7"
    assert np.flatnonzero(order.difference).tolist() == [0, 1, 7, 8]


def test_the_grid_starts_with_the_smallest_and_differences_where_there_is_a_season() -> None:
    plain, seasonal = grid(3, 3, 0, (0, 1)), grid(3, 3, 7)
    assert [order.size for order in plain] == sorted(order.size for order in plain)
    assert plain[0] == Order(0, 1, 0)
    assert {order.d for order in plain} == {0, 1}
    assert all((order.D, order.Q, order.season) == (1, 1, 7) for order in seasonal)
    assert max(order.p + order.q for order in plain) == LARGEST
    assert len(set(plain)) == len(plain) == 2 * len(seasonal)


@given(st.floats(-1e3, 1e3), st.integers(3, 500), st.integers(0, 12))
def test_the_corrected_criterion_charges_more_than_aic_and_refuses_too_few_rows(
    criterion: float, n: int, size: int
) -> None:
    value = aicc(criterion, n, size)
    if n <= size + 2 or n < ROWS_PER_COEFFICIENT * size:
        assert value == math.inf
    else:
        assert value > criterion + 2 * (size + 1)


def test_a_tie_goes_to_the_smaller_and_a_failed_fit_takes_no_part() -> None:
    candidates = grid(2, 2, 0)

    def criterion(order: Order) -> float:
        if order.size == 1:
            raise FitError("the smallest did not converge")
        return 3.0

    assert choose("f", candidates, criterion) == candidates[1]


def test_no_candidate_is_a_fit_error_with_the_first_reason() -> None:
    def fails(order: Order) -> float:
        raise FitError(f"{order} did not converge")

    with pytest.raises(FitError, match=r"'f' finds no order .*: \(0,0,0\) did not converge"):
        choose("f", grid(1, 1, 0), fails)
    with pytest.raises(FitError, match=r"for so few rows; train on more$"):
        choose("f", grid(1, 1, 0), lambda order: math.inf)


def test_unfading_cycles_and_undone_differences_are_told_from_slow_reversion() -> None:
    assert not near_unit_root((0.999,), (0.5,))
    assert near_unit_root((0.999,), (0.5,), reverting=False)
    assert not near_unit_root((), ())
    assert near_unit_root((), (-0.995,))
    assert near_unit_root((-0.995,), ())
    turns = 2 * 0.996 * math.cos(1.0)
    assert near_unit_root((turns, -(0.996**2)), ())
    assert not near_unit_root((0.9 * turns, -(0.9**2)), ())
