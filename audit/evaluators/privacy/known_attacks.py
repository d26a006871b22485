"""Which membership attacks a model can be asked for, what they are called, and which of them was chosen beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit.core.artifacts import DrawnRows, RealRows
from audit.core.capabilities import Capability
from audit.core.evaluators import Unmet
from audit.core.recipes import Recipe
from audit.core.references import DataRef
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.evaluators.privacy.altered_texts import SHOTS, AfterOthers, SecondLook, SmallLetters
from audit.evaluators.privacy.attacks import (
    LEVELS,
    AttackScores,
    DenoisingAttacks,
    SeveralAttacks,
    SignalAttack,
    TokenAttacks,
    denoising_at,
)
from audit.evaluators.privacy.holdouts import MOST_SHARED
from audit.evaluators.privacy.latent_search import LatentSearch
from audit.evaluators.privacy.noise_attacks import NOISE_ATTACKS, PAIRS, NoiseAttacks
from audit.evaluators.privacy.reference_attacks import (
    CalibratedDenoising,
    CalibratedSignal,
    ReferenceTokenAttacks,
    calibrated,
)

PREFERRED = (
    Capability.TOKEN_SCORES,
    Capability.LOG_LIKELIHOOD,
    Capability.DENOISING_LOSS,
    Capability.LIKELIHOOD_BOUND,
    Capability.RECONSTRUCT,
    Capability.REALNESS,
)
_COMPARABLE = (Capability.LOG_LIKELIHOOD, Capability.LIKELIHOOD_BOUND, Capability.RECONSTRUCT)
"""Signals of which a reference model's can be subtracted; critics of two models have no common scale."""

_PLAIN: Mapping[str, str] = {
    "log_likelihood": "log-likelihood",
    "denoising_loss": "denoising loss, averaged over noise levels",
    **{denoising_at(level): f"denoising loss at {level:.0%} of the noise levels" for level in LEVELS},
    "likelihood_bound": "bound on the log-likelihood",
    "reconstruct": "error of reconstruction",
}
EXTRA: Mapping[str, tuple[Capability, str]] = {
    "lowercase": (
        Capability.TOKEN_SCORES,
        "log-probability over that of the same text in small letters",
    ),
    "recall": (
        Capability.TOKEN_SCORES,
        f"ReCaLL: log-probability after {SHOTS} texts never trained on, over that without",
    ),
    "pia": (
        Capability.PREDICTED_NOISE,
        "PIA: distance between the noise seen in the clean example and that seen once it is added",
    ),
    "secmi": (
        Capability.PREDICTED_NOISE,
        "SecMI: error of one deterministic step up and back",
    ),
    "shared_noise": (
        Capability.PREDICTED_NOISE,
        f"denoising loss averaged over noise levels, under {2 * PAIRS} noises that all examples share",
    ),
    "latent_search": (
        Capability.DRAW_LATENTS,
        "error of the nearest image that a search over latent vectors found",
    ),
}
"""Attacks that ask the model again, and so have to be asked for: what the model must offer, and what each is."""
MEANINGS: Mapping[str, str] = {
    "reference_ratio": "mean log-probability less that under a reference model",
    "wbc": "WBC (share of windows that the model finds likelier than a reference model does)",
    "ez_mia": "EZ-MIA (gain over a reference model against loss, at tokens that the model missed)",
    "rmia": "RMIA (probability over that expected from reference models)",
    "min_k_plus_plus": "Min-K%++ (least likely fifth of the tokens, standardised per position)",
    "min_k": "Min-K% (least likely fifth of the tokens)",
    "zlib": "mean log-probability over zlib length",
    "loss": "mean log-probability",
    **_PLAIN,
    "realness": "the model's own critic",
    **{calibrated(name): f"{meaning}, less that of a reference model" for name, meaning in _PLAIN.items()},
    **{name: meaning for name, (_, meaning) in EXTRA.items()},
    calibrated("latent_search"): "the same, less that of a reference model",
    "pian": "PIA with that noise brought to unit size",
    **{
        name: f"the same at {level:.0%} of the noise levels"
        for name, level in zip(NOISE_ATTACKS["shared_noise"][1:], LEVELS, strict=True)
    },
}


@dataclass(frozen=True, slots=True)
class Sides:
    """The rows that are attacked, members and non-members, and those set aside for attacks that need others (``shots``)."""

    members: RealRows | DrawnRows
    nonmembers: RealRows | DrawnRows
    shots: RealRows | DrawnRows | None
    left_out: int

    @classmethod
    def of(cls, subject: Subject, max_rows: int, extra: Sequence[str] = ()) -> Sides:
        """Draw at most ``max_rows`` rows of ``train`` and of ``holdout``, without those of ``holdout`` that also stand in ``train``."""
        shared = subject.data_card.overlap("train", "holdout")
        known = shared.rows if shared is not None else ()
        shots, without = None, known
        if "recall" in extra:
            shots = subject.drawn("holdout", SHOTS, without=known)
            without = (*known, *(int(row) for row in shots.numbers()))
        members, nonmembers = subject.drawn("train", max_rows), subject.drawn("holdout", max_rows, without)
        return cls(members, nonmembers, shots, len(known))


def attacks_on(
    subject: Subject, rows: Recipe[Rows], extra: Sequence[str] = (), shots: Recipe[Rows] | None = None
) -> Recipe[AttackScores]:
    """Return every attack that the model allows on some rows, the one chosen beforehand first, then those of ``extra``.

    With reference models that is the difference from them, unless the card of one names the same data: what it memorised as
    well would be hidden. Else it is the first number that the model gives.
    """
    found: list[Recipe[AttackScores]] = []
    if not subject.offers.isdisjoint(PREFERRED):
        compared, alone = _with_references(subject, rows), _alone(subject, rows)
        found = [*alone, *compared] if _saw_members(subject) else [*compared, *alone]
    for name in extra:
        capability, _ = EXTRA[name]
        if capability in subject.offers:
            found.append(_asked_again(subject, rows, name, shots))
    return found[0] if len(found) == 1 else SeveralAttacks(tuple(found))


def _saw_members(subject: Subject) -> bool:
    """Say whether a reference model may have seen the members."""
    return any(
        _same_source(reference.card.trained_on, subject.data) for reference in subject.reference_models
    )


def _same_source(trained_on: DataRef | None, data: DataRef) -> bool:
    """Say whether a model's card names these data as its own, cut into splits in whatever way."""
    return trained_on is not None and (trained_on.loader, trained_on.content) == (data.loader, data.content)


def _with_references(subject: Subject, rows: Recipe[Rows]) -> list[Recipe[AttackScores]]:
    chosen = subject.first_offered(PREFERRED)
    references = subject.references(chosen)
    if chosen is Capability.TOKEN_SCORES:
        if not references:
            return []
        theirs = tuple(subject.token_scores(rows, ref) for ref in references)
        return [ReferenceTokenAttacks(subject.token_scores(rows), theirs)]
    if chosen is Capability.DENOISING_LOSS:
        return [CalibratedDenoising(rows, subject.model, references, subject.seed)] if references else []
    return [
        CalibratedSignal(rows, subject.model, subject.references(c), c, subject.seed)
        for c in _COMPARABLE
        if c in subject.offers and subject.references(c)
    ]


def _alone(subject: Subject, rows: Recipe[Rows]) -> list[Recipe[AttackScores]]:
    capability = subject.first_offered(PREFERRED)
    if capability is Capability.TOKEN_SCORES:
        return [TokenAttacks(rows, subject.token_scores(rows))]
    if capability is Capability.DENOISING_LOSS:
        return [DenoisingAttacks(rows, subject.model, subject.seed)]
    offered = [c for c in PREFERRED if c in subject.offers]
    return [SignalAttack(subject.signal(rows, (c,)), c) for c in offered]


def _asked_again(
    subject: Subject, rows: Recipe[Rows], name: str, shots: Recipe[Rows] | None
) -> Recipe[AttackScores]:
    scores = subject.token_scores(rows)
    match name:
        case "lowercase":
            return SecondLook(scores, subject.token_scores(SmallLetters(rows)), name)
        case "recall":
            assert shots is not None, "drawn wherever this attack is asked for"
            return SecondLook(scores, subject.token_scores(AfterOthers(rows, shots)), name)
        case "latent_search":
            others = subject.references(Capability.DRAW_LATENTS)
            return LatentSearch(rows, subject.model, others, subject.seed)
    return NoiseAttacks(rows, subject.model, name, subject.seed)


def silent(subject: Subject, extra: Sequence[str]) -> tuple[Unmet, ...]:
    """Say that a model gives no number for an example unless a latent search is asked for, if so."""
    if not subject.offers.isdisjoint(PREFERRED) or "latent_search" in extra:
        return ()
    need = f"a model that offers {' or '.join(PREFERRED)}, or a latent search"
    found = f"it offers {', '.join(sorted(subject.offers))}, and no latent search is asked for"
    remedy = 'write extra = ["latent_search"] for this evaluator; 1,000 examples of 32 by 32 pixels take some minutes'
    return (Unmet(need, found, remedy),)


def incomparable(subject: Subject, least: int) -> tuple[Unmet, ...]:
    """Say that too many non-members are members, or that a side has fewer than ``least`` different examples, if so."""
    card, gaps = subject.data_card, []
    shared = card.overlap("train", "holdout")
    if shared is not None and shared.share > MOST_SHARED:
        found = f"{len(shared.rows):,} of {shared.total:,} rows of 'holdout' also stand in 'train'"
        remedy = "take them out of 'holdout': they are members, and an attack that finds them is not wrong"
        gaps.append(Unmet("non-members that are not members", found, remedy))
    for split in ("train", "holdout"):
        total = subject.splits[split]
        if (different := total - len(card.repeated(split))) < least:
            found = f"{different} different ones among {total:,} rows"
            gaps.append(Unmet(f"at least {least} different examples in '{split}'", found, "bring more data"))
    return tuple(gaps)


def reference_notes(subject: Subject) -> tuple[str, ...]:
    """Say which reference models the attacks compare with, and what a model trained on the same members hides."""
    chosen = next((c for c in PREFERRED if c in subject.offers), Capability.DRAW_LATENTS)
    notes = []
    for reference in subject.reference_models:
        if chosen not in reference.offers:
            notes.append(
                f"The reference model ({reference.called}) offers no {chosen.value} and is left out."
            )
            continue
        same = _same_source(reference.card.trained_on, subject.data)
        seen = (
            " Its card names the same data, so it may have seen the same members, and the difference hides what both "
            "memorised: it is not the attack chosen beforehand."
        )
        notes.append(f"Compared with a {reference.called}.{seen if same else ''}")
    return tuple(notes)
