"""What a metric is, declared once: its meaning, its direction, its unit, and the question that it answers."""

from __future__ import annotations

from dataclasses import dataclass

from audit.core.measurements import Direction

HIGHER, LOWER, NEITHER = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER, Direction.NEITHER

_TAILS = {HIGHER: "higher is better", LOWER: "lower is better", NEITHER: "neither direction is better"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of an evaluator.

    ``name`` is its last word: ``auc`` of ``privacy.membership`` is ``privacy.membership.auc``. The
    metric that is called as its evaluator is (``kid`` of ``quality.kid``) goes by the evaluator's name.

    ``meaning`` says in one sentence what the number is; ``question`` is what a person wants to
    know, in plain words. ``baseline`` is the value for a model that learnt nothing of interest.
    ``null`` is the value where there is nothing to find, such as 0 for a distance between equal
    distributions; None where no fixed value is known.
    """

    name: str
    meaning: str
    direction: Direction
    unit: str = ""
    baseline: float | None = None
    null: float | None = None
    question: str = ""

    @property
    def sentence(self) -> str:
        """The meaning with the direction, as catalogues print it."""
        return f"{self.meaning.rstrip('.')}; {_TAILS[self.direction]}."
