"""The factors of the world of portraits and their joint distribution, exact and in whole numbers."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FACTORS: Mapping[str, tuple[str, ...]] = {
    "occupation": (
        "casual", "doctor", "nurse", "police", "builder", "chef",
        "judge", "pilot", "farmer", "teacher", "office",
    ),
    "skin_tone": ("01", "02", "03", "04", "05", "06", "07", "08", "09", "10"),
    "presentation": ("feminine", "masculine"),
    "age": ("child", "adult", "older"),
    "headwear": (
        "none", "cap", "beanie", "headscarf", "turban", "hard-hat", "peaked-cap", "toque", "straw-hat",
    ),
    "hair": ("bald", "short", "spiky", "curly", "bob", "long", "bun", "covered"),
    "hair_colour": ("black", "brown", "auburn", "blond", "grey"),
    "facial_hair": ("none", "moustache", "beard"),
    "glasses": ("none", "round", "square", "sunglasses"),
    "expression": ("smile", "neutral", "frown", "open"),
    "pattern": ("plain", "stripes", "dots", "checks"),
    "backdrop": ("blue", "green", "rose", "sand", "violet", "grey"),
}  # fmt: skip
"""Every factor and its values, in the order in which they are drawn."""

TONE_TILT: Mapping[str, int] = {
    "casual": 0, "doctor": 5, "nurse": -3, "police": -4, "builder": -6, "chef": -3,
    "judge": 8, "pilot": 5, "farmer": -6, "teacher": 0, "office": 4,
}  # fmt: skip
"""How much lighter (above 0) or darker skin tones are over-represented at ``skew`` 1, in tenths.

They sum to 0 over occupations of equal weight, so the shares of the skin tones are 10 % at every ``skew``.
"""

FEMININE_LEAN: Mapping[str, int] = {
    "casual": 0, "doctor": 10, "nurse": 40, "police": -20, "builder": -35, "chef": 0,
    "judge": -15, "pilot": -25, "farmer": 0, "teacher": 30, "office": 15,
}  # fmt: skip
"""Share of feminine presentation beyond one half at ``skew`` 1, in hundredths. They sum to 0."""

CROSSING: Mapping[str, int] = {"judge": -15, "builder": -10, "farmer": -10}
"""What going from middle to darkest skin tone adds to ``FEMININE_LEAN``: the three-way association.

The products with ``TONE_TILT`` sum to 0, so one half of the portraits is feminine at every ``skew``.
"""

_OCCUPATIONS = FACTORS["occupation"]
_OWN_HAT = {
    "builder": "hard-hat",
    "police": "peaked-cap",
    "pilot": "peaked-cap",
    "chef": "toque",
    "farmer": "straw-hat",
}
_HATLESS, _WRAPPED = ("none",), ("headscarf", "turban")
_HAIR = {  # bald, short, spiky, curly, bob, long, bun
    "feminine": (2, 10, 5, 20, 21, 25, 17),
    "masculine": (18, 34, 16, 18, 4, 8, 2),
}
_AGE = {"casual": (40, 40, 20), "judge": (0, 55, 45)}
_GREY = {"child": 0, "adult": 8, "older": 85}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One factor given its parents: ``weights`` are whole numbers, one axis per parent, then the values.

    A weight is a probability times the sum of the last axis.
    """

    name: str
    parents: tuple[str, ...]
    weights: NDArray[np.int64]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        return np.asarray(self.weights / self.weights.sum(axis=-1, keepdims=True))

    def choose(self, codes: Mapping[str, NDArray[np.intp]], words: NDArray[np.uint32]) -> NDArray[np.intp]:
        """Return the value of each person, shape (n,), from its parents' values and 32 random bits.

        Whole numbers only, so no machine rounds another way; a probability is off by less than 2⁻³².
        """
        ends = np.cumsum(self.weights, axis=-1)[tuple(codes[parent] for parent in self.parents)]
        ends = np.broadcast_to(ends, (len(words), self.weights.shape[-1]))
        drawn = (words.astype(np.int64) * ends[:, -1]) >> 32
        return np.asarray((drawn[:, None] >= ends).sum(axis=1), dtype=np.intp)


def network(skew: float) -> tuple[Node, ...]:
    """Return every factor given its parents, parents first; ``skew`` from 0 (none) to 1 scales the associations.

    ``skew`` counts in thousandths. It governs occupation × skin tone × presentation
    alone; the ties of headwear, hair and glasses to age, dress and presentation stay.
    """
    thousandths = round(skew * 1000)
    return (
        _node("occupation", (), [20] + [8] * 10),
        _node("skin_tone", ("occupation",), _tones(thousandths)),
        _node("presentation", ("occupation", "skin_tone"), _presentations(thousandths)),
        _node("age", ("occupation",), [_AGE.get(o, (0, 70, 30)) for o in _OCCUPATIONS]),
        _node("headwear", ("occupation", "presentation"), _headwear()),
        _node("hair", ("presentation", "age", "headwear"), _hair()),
        _node("hair_colour", ("age",), _hair_colours()),
        _node("facial_hair", ("presentation", "age"), _facial_hair()),
        _node("glasses", ("age",), [[80, 10, 5, 5], [66, 12, 12, 10], [48, 22, 22, 8]]),
        _node("expression", (), [40, 25, 20, 15]),
        _node("pattern", (), [40, 20, 20, 20]),
        _node("backdrop", (), [1] * 6),
    )


def distribution(skew: float, *names: str) -> NDArray[np.float64]:
    """Return the exact joint distribution of the named factors, one axis each, in the order of the names.

    >>> distribution(0.5, "presentation").round(9).tolist()
    [0.5, 0.5]
    """
    nodes = {node.name: node for node in network(skew)}
    needed: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.append(name)
            waiting += nodes[name].parents
    letter = dict(zip(nodes, string.ascii_lowercase, strict=False))
    terms = ["".join(letter[n] for n in (*nodes[name].parents, name)) for name in needed]
    wanted = "".join(letter[name] for name in names)
    tables = [nodes[name].probabilities for name in needed]
    return np.asarray(np.einsum(f"{','.join(terms)}->{wanted}", *tables, optimize=True))


def _node(name: str, parents: tuple[str, ...], weights: Sequence[object]) -> Node:
    table = np.array(weights, dtype=np.int64)
    assert table.shape == tuple(len(FACTORS[n]) for n in (*parents, name)), name
    assert table.min() >= 0, name
    return Node(name, parents, table)


def _tones(thousandths: int) -> list[list[int]]:
    """Linear in the step of the scale: 10 % × (1 + skew × tilt × (from +1 at the lightest to -1 at the darkest))."""
    return [
        [90_000 + thousandths * TONE_TILT[occupation] * (9 - 2 * tone) for tone in range(10)]
        for occupation in _OCCUPATIONS
    ]


def _presentations(thousandths: int) -> list[list[list[int]]]:
    """One half + skew × (lean + crossing × (from -1 at the lightest to +1 at the darkest)) is feminine."""
    table = []
    for occupation in _OCCUPATIONS:
        lean, crossing = FEMININE_LEAN[occupation], CROSSING.get(occupation, 0)
        feminine = [900_000 + 2 * thousandths * (9 * lean + crossing * (2 * k - 9)) for k in range(10)]
        table.append([[share, 1_800_000 - share] for share in feminine])
    return table


def _headwear() -> list[list[list[int]]]:
    table = []
    for occupation in _OCCUPATIONS:
        own = _OWN_HAT.get(occupation)
        shares = {"none": 24, own: 60} if own else {"none": 60, "cap": 12, "beanie": 12}
        table.append(
            [
                [{**shares, wrapped: 16}.get(hat, 0) for hat in FACTORS["headwear"]]
                for wrapped in _WRAPPED  # feminine, masculine
            ]
        )
    return table


def _hair() -> list[list[list[list[int]]]]:
    """A wrap covers all hair. A hat hides what tells 'spiky' and 'bun' from 'short', and no child is bald."""

    def given(presentation: str, age: str, hat: str) -> list[int]:
        if hat in _WRAPPED:
            return [0] * 7 + [1]
        hidden = set() if hat in _HATLESS else {"spiky", "bun"}
        if age == "child":
            hidden.add("bald")
        names = FACTORS["hair"][:-1]
        return [0 if n in hidden else w for n, w in zip(names, _HAIR[presentation], strict=True)] + [0]

    return [
        [[given(p, age, hat) for hat in FACTORS["headwear"]] for age in FACTORS["age"]]
        for p in FACTORS["presentation"]
    ]


def _hair_colours() -> list[list[int]]:
    """Grey comes with age; the other colours keep their proportions, whatever the skin tone."""
    return [[share * (100 - grey) for share in (35, 30, 15, 20)] + [100 * grey] for grey in _GREY.values()]


def _facial_hair() -> list[list[list[int]]]:
    none, grown = [1, 0, 0], [50, 18, 32]
    return [[none] * 3, [none, grown, grown]]
