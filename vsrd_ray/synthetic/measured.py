"""Cars nearer to real ones than the usual kinds: their outlines and sizes vary as measured on models of 42 real cars.

Means and standard deviations by kind are facts taken from those models; nothing of their surfaces is here.
"""

from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.synthetic.cars import CarShape

_LEAST_CABIN = 0.05  # shares of the length: from the windscreen's foot to the roof, and ...
_LEAST_ROOF = 0.12  # ... of the roof itself
_REAREST = -0.465
_DEEPEST_DECK = 0.06  # share of the height below the windows' lower edge; never above it


@dataclass(frozen=True)
class _Kind:
    share: float  # of all cars
    mean: CarShape
    spread: dict[str, float]  # standard deviations of its shares


def _car(
    name: str, length: tuple[float, float], width: tuple[float, float], height: tuple[float, float], *bends: float
):
    cowl, roof_front, roof_rear, cabin_rear, bonnet, belt, deck, tumblehome = bends
    return CarShape(
        name=name,
        length=length,
        width=width,
        height=height,
        cowl=cowl,
        roof_front=roof_front,
        roof_rear=roof_rear,
        cabin_rear=cabin_rear,
        bonnet=bonnet,
        belt=belt,
        deck=deck,
        tumblehome=tumblehome,
        nose_width=0.25,
        tail_width=0.36,
    )


def _spread(*deviations: float) -> dict[str, float]:
    names = ("cowl", "roof_front", "roof_rear", "cabin_rear", "bonnet", "belt", "deck", "tumblehome")
    return dict(zip(names, deviations, strict=True))


_KINDS = (
    _Kind(
        0.30,
        _car(
            "hatchback", (3.46, 4.46), (1.62, 1.81), (1.45, 1.53), 0.26, 0.038, -0.34, -0.465, 0.53, 0.70, 0.66, 0.130
        ),
        _spread(0.03, 0.018, 0.05, 0.005, 0.026, 0.02, 0.04, 0.015),
    ),
    _Kind(
        0.27,
        _car("sedan", (4.28, 5.04), (1.69, 1.87), (1.44, 1.52), 0.248, 0.052, -0.216, -0.42, 0.565, 0.708, 0.74, 0.144),
        _spread(0.023, 0.018, 0.024, 0.04, 0.018, 0.017, 0.018, 0.015),
    ),
    _Kind(
        0.30,
        _car(
            "off-roader", (4.27, 5.0), (1.76, 2.0), (1.63, 1.9), 0.257, 0.041, -0.356, -0.465, 0.59, 0.70, 0.75, 0.121
        ),
        _spread(0.02, 0.04, 0.046, 0.005, 0.022, 0.02, 0.046, 0.03),
    ),
    _Kind(
        0.13,
        _car("van", (4.3, 4.8), (1.76, 1.85), (1.65, 1.8), 0.325, 0.045, -0.40, -0.465, 0.552, 0.65, 0.75, 0.121),
        _spread(0.03, 0.01, 0.05, 0.005, 0.01, 0.023, 0.046, 0.03),
    ),
)


def measured_car(rng: np.random.Generator) -> CarShape:
    """A car of a random kind with an outline of its own."""
    kind = _KINDS[int(rng.choice(len(_KINDS), p=[kind.share for kind in _KINDS]))]
    values = {name: getattr(kind.mean, name) + spread * rng.normal() for name, spread in kind.spread.items()}
    values["roof_front"] = min(values["roof_front"], values["cowl"] - _LEAST_CABIN)
    values["roof_rear"] = min(values["roof_rear"], values["roof_front"] - _LEAST_ROOF)
    values["cabin_rear"] = max(min(values["cabin_rear"], values["roof_rear"] - 0.01), _REAREST)
    values["roof_rear"] = max(values["roof_rear"], values["cabin_rear"] + 0.01)
    values["deck"] = min(max(values["deck"], values["belt"] - _DEEPEST_DECK), values["belt"])
    return replace(kind.mean, **values)
