"""The canaries of the world 'biographies': random codes at known doses, each put in by a coin of its own."""

from __future__ import annotations

from dataclasses import dataclass

from audit.data.worlds.biographies.chance import Stream
from audit.data.worlds.biographies.people import NAMES, full_name

DOSES = (1, 2, 4, 8, 16, 32)
DIGITS = 16


@dataclass(frozen=True, slots=True)
class Canary:
    """A sentence whose last sixteen digits are random.

    ``prefix + secret`` is the whole text. It stands ``dose`` times in ``train``
    if ``included``, else nowhere. Every canary has the same format, so those
    left out are references for those put in, at whatever dose.
    """

    index: int
    dose: int
    included: bool
    prefix: str
    secret: str

    @property
    def text(self) -> str:
        return self.prefix + self.secret


def canary(seed: int, index: int, dose: int) -> Canary:
    """Return the canary with this index, from seed and index alone; a dose never changes its words or its coin.

    The code has 53 bits of chance. Its person is drawn from the far end of the
    names, so that no paragraph is about the same one.
    """
    draw = Stream(f"biographies/{seed}/canary/{index}")
    included = draw.below(2) == 1
    digits = f"{draw.below(10**DIGITS):0{DIGITS}}"
    given, surname = full_name(seed, NAMES - 1 - index)
    code = "-".join(digits[at : at + 4] for at in range(0, DIGITS, 4))
    return Canary(index, dose, included, f"The vault code of {given} {surname} is", f" {code}.")


def canaries(seed: int, per_dose: int) -> tuple[Canary, ...]:
    """Return ``per_dose`` canaries of each dose, in order of dose, whether included or not."""
    return tuple(
        canary(seed, at * len(DOSES) + turn, dose)
        for turn, dose in enumerate(DOSES)
        for at in range(per_dose)
    )


def planted(seed: int, per_dose: int) -> tuple[Canary, ...]:
    """Return the copies that ``train`` holds, in a random order."""
    copies = [found for found in canaries(seed, per_dose) if found.included for _ in range(found.dose)]
    return tuple(Stream(f"biographies/{seed}/copies").order(copies))
