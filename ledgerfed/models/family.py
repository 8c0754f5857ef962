"""What a family of local models is, and how a node finds one by name.

A family fits its native model on a node's own rows and gives one-step predictions on them; the exchange
turns these into information. Closed forms and likelihoods need no starting model, so the base model of a
round enters where the information is made (`exchange.noise_about`), not here.

Families register under the entry point group `ledgerfed.models`: a class without required arguments.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from ledgerfed.errors import ConfigurationError, NotFoundError
from ledgerfed.exchange.design import Design
from ledgerfed.series.arrays import Floats

GROUP = "ledgerfed.models"


class Fitted(Protocol):
    """A fitted native model. `parameters` are its native numbers; they never leave the node."""

    @property
    def family(self) -> str:
        """The name of the family."""
        ...

    @property
    def parameters(self) -> tuple[float, ...]:
        """The native parameters; an update carries the family's name only (`protocol.payload.family_tag`)."""
        ...

    def one_step(self, design: Design) -> Floats:
        """Return predictions of `design.y`, float64 [T], standardised; NaN where there is not enough past.

        The prediction of row t uses y up to t - 1 and what X[t] holds, with the parameters as fitted.
        """
        ...


@runtime_checkable
class Iterated(Protocol):
    """What a fitted model may offer besides: predictions further ahead, by its own recursion."""

    def ahead(self, design: Design, steps: int) -> Floats:
        """Return predictions of `design.y` made `steps` grid steps before, float64 [T], standardised.

        The prediction of row t uses y up to t - `steps`, and terms that are known ahead; NaN where the past
        is too short. One step is `one_step`.
        """
        ...


@runtime_checkable
class Family(Protocol):
    """A kind of local model; `exchange_weight` is λ of `exchange.information`."""

    @property
    def name(self) -> str:
        """The name in the registry."""
        ...

    @property
    def exchange_weight(self) -> float:
        """1 to exchange exact statistics, 0 to exchange what the native model predicts."""
        ...

    def fit(self, design: Design) -> Fitted:
        """Return the model fitted to the rows of `design` that count.

        Raises:
            FitError: the fit did not converge, is not finite, or there are too few rows.
        """
        ...


def family_names() -> tuple[str, ...]:
    """Return the names of the registered families, sorted."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP)))


def load_family(name: str) -> Family:
    """Return the family registered under `name`.

    Raises:
        NotFoundError: no family of that name.
        ConfigurationError: two packages claim the name, or what is registered is not a family.
    """
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        raise NotFoundError(f"no model family {name!r}; registered are {list(family_names())}")
    if len({point.value for point in points}) > 1:
        raise ConfigurationError(f"{name!r} is claimed by {[p.value for p in points]}; uninstall all but one")
    return _instance(points[0])


def _instance(point: EntryPoint) -> Family:
    try:
        family = point.load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"the family {point.name!r} ({point.value}) does not load: {error}"
        ) from error
    if not isinstance(family, Family):
        raise ConfigurationError(f"{point.value} is not a model family; see ledgerfed.models.Family")
    return family
