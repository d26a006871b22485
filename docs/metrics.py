"""Write a page for each evaluator, with a section for each metric, from what it declares.

    python docs/metrics.py --write

Without ``--write`` nothing is changed; ``tests/test_docs.py`` compares. The definition, the formula, the interval and
the gate are paragraphs of the evaluator's module docstring: the first ones are the definition, the others begin with
``Formula:``, ``Interval:`` or ``Gate:``.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.core.capabilities import Capability
from audit.core.cases import Cases
from audit.core.evaluators import Needs
from audit.core.identity import Digest
from audit.core.measurements import Direction
from audit.core.metrics import Metric
from audit.core.references import Attribute, DataRef, ExtractorRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.registry import Unavailable, catalogue

FOLDER = Path(__file__).parent / "metrics"
LABELS = ("Formula", "Interval", "Gate")
DOSES = (0.1,)
"""Doses the example audit asks about, so that an evaluator shows its planted cases."""

EXAMPLE = (Attribute("one", ("a", "b")), Attribute("other", ("c", "d")))
"""What an example of an attribute classifier reads."""

_BETTER = {
    Direction.HIGHER_IS_BETTER: "higher is better",
    Direction.LOWER_IS_BETTER: "lower is better",
    Direction.NEITHER: "neither is better",
}


_LEGEND = "The baseline is the value for a model that learnt nothing of interest, the null value the one where there is nothing to find."


def paragraphs(module_docstring: str) -> tuple[list[str], dict[str, str]]:
    """Return the definition as paragraphs, and the labelled paragraphs by label.

    >>> paragraphs("A thing.\\n\\nMore of\\nit.\\n\\nFormula: a\\nb.\\nGate: none.")
    (['A thing.', 'More of it.'], {'Formula': 'a b.', 'Gate': 'none.'})
    """
    parts = re.split(rf"\n\s*\n|\n(?=(?:{'|'.join(LABELS)}): )", module_docstring.strip())
    definition: list[str] = []
    labelled: dict[str, str] = {}
    for part in (" ".join(part.split()).replace("``", "`") for part in parts):
        label, colon, rest = part.partition(": ")
        if colon and label in LABELS:
            labelled[label] = rest
        else:
            definition.append(part)
    return definition, labelled


def page(name: str, kind: type[Any]) -> str:
    """Return the page of one evaluator."""
    about = kind.about
    definition, labelled = paragraphs(sys.modules[kind.__module__].__doc__ or "")
    lines = [f"# {name}", ""]
    lines += [block for part in definition for block in (part, "")]
    for label in LABELS:
        if label in labelled:
            lines += [f"## {label}", "", _sentence(labelled[label]), ""]
    lines += ["## Metrics", "", _LEGEND, ""]
    for metric in about.metrics:
        lines += [*_section(about.full(metric.name), metric), ""]
    lines += ["## Controls", "", *_controls(kind), ""]
    lines += ["## Needs", "", *[f"- {need}" for need in needs(about.needs)], ""]
    lines += ["## Parameters", "", *_parameters(kind), ""]
    lines += ["## Traps", "", *([f"- {caveat}" for caveat in about.caveats] or ["None declared."]), ""]
    lines += ["## Source", "", *[f"- {reference}" for reference in about.references], ""]
    lines += [f"Written by `docs/metrics.py` from `{_file(kind)}`.", ""]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" if text[:1].isalpha() else text


def _file(kind: type[Any]) -> str:
    return f"{kind.__module__.replace('.', '/')}.py"


def _section(full: str, metric: Metric) -> Iterator[str]:
    yield f"### `{full}`"
    yield ""
    if metric.question:
        yield f"**{metric.question}**"
        yield ""
    yield f"{metric.meaning.rstrip('.')}."
    yield ""
    yield (
        f"*{_BETTER[metric.direction]}; unit: {metric.unit or 'none, or named by the run'}; "
        f"baseline: {_number(metric.baseline)}; null value: {_number(metric.null)}*"
    )


def _number(value: float | None) -> str:
    return "none known" if value is None else f"{value:g}"


def needs(wanted: Needs) -> Iterator[str]:
    """Yield what an evaluator cannot do without, a line each."""
    for choice in wanted.choices:
        yield f"a model that offers {' or '.join(f'`{c}`' for c in choice)}"
    for split in wanted.splits:
        yield f"data with a split `{split}`"
    if wanted.compares:
        yield "real examples to compare with: the split that the parameter `reference` names"
    if wanted.modalities:
        yield f"a model of {' or '.join(wanted.modalities)}"
    if wanted.groups:
        yield "data with group columns"
    for role in wanted.extractors:
        yield "a feature extractor" if role == "features" else f"an extractor in the role `{role}`"
    if wanted.min_rows:
        yield f"at least {wanted.min_rows} rows of each"


def _controls(kind: type[Any]) -> Iterator[str]:
    """Say what the null case and the planted cases ask, by asking for them in an example audit of 2,000 samples."""
    cases = Cases.of(kind().inputs(example(kind.about.needs)))
    yield "What it is asked beside the model, in an audit of 2,000 samples and splits of 5,000 rows:"
    yield ""
    if cases.null is None:
        why = f": {cases.no_null}" if cases.no_null else ""
        yield f"- **null case**: this evaluator asks none{why}, so its metrics have no noise floor."
    else:
        yield f"- **null case**: {cases.null.asked}."
    for case in cases.planted:
        yield f"- **planted: {case.defect}**, here at dose {case.dose:g}: {case.asked}."
    if not cases.planted:
        yield "- **planted defects**: this evaluator asks none."


def example(wanted: Needs) -> Subject:
    """Return the subject of an example audit that lacks nothing; nothing of it exists, so nothing can be made."""
    modality = wanted.modalities[0] if wanted.modalities else "image"
    nothing = Digest("0" * 40)
    return Subject(
        model=ModelRef("example", nothing),
        card=ModelCard("example", modality, 0),
        offers=frozenset(Capability),
        data=DataRef("example", nothing),
        data_card=DataCard(
            modality,
            tuple((split, 5000) for split in dict.fromkeys(("train", "holdout", *wanted.splits))),
            groups=("group", EXAMPLE[0].name),
            randomised=True,
        ),
        extractors=tuple(
            (role, ExtractorRef("example", nothing, 64, modality, EXAMPLE if role == "attributes" else ()))
            for role in dict.fromkeys((*wanted.extractors, "attributes"))
        ),
        sample_size=2000,
        seed=0,
        shard_size=500,
        doses=DOSES,
    )


def _parameters(kind: type[Any]) -> Iterator[str]:
    fields = dataclasses.fields(kind)
    doc = " ".join((kind.__doc__ or "").split())
    if not fields:
        yield "None."
        return
    yield "| parameter | default | is |"
    yield "|---|--:|---|"
    for field in fields:
        yield f"| `{field.name}` | `{field.default!r}` | {about_parameter(doc, field.name)} |"


def about_parameter(doc: str, name: str) -> str:
    """Return the sentences of a class docstring that name a parameter.

    >>> about_parameter("Compares. ``k`` is the count. It is fixed. ``level`` too.", "k")
    '`k` is the count.'
    """
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z`])", doc)
    return " ".join(s.replace("``", "`") for s in sentences if f"``{name}``" in s)


def index() -> str:
    """Return the page that lists every evaluator and every metric."""
    lines = [
        "# Metrics",
        "",
        "One page an evaluator, one section a metric: what it is, how it is computed, where its interval comes from, when there is",
        "no value, and what it must not be taken for. Words like *noise floor* and *null case* are in the [glossary](../glossary.md).",
        "",
        "| metric | question | |",
        "|---|---|---|",
    ]
    for name, kind in _evaluators():
        for metric in kind.about.metrics:
            full = kind.about.full(metric.name)
            anchor = full.replace(".", "").lower()
            asked = metric.question or f"{metric.meaning.rstrip('.')}."
            lines.append(f"| [`{full}`]({name}.md#{anchor}) | {asked} | {_BETTER[metric.direction]} |")
    return "\n".join([*lines, "", "Written by `docs/metrics.py`.", ""])


def _evaluators() -> list[tuple[str, type[Any]]]:
    found = catalogue("evaluators")
    return [
        (name, kind)
        for name, kind in found.survey().items()
        if not isinstance(kind, Unavailable) and kind.__module__.startswith("audit.evaluators.")
    ]


def rendered() -> dict[Path, str]:
    """Return every page by its path."""
    pages = {f"{name}.md": page(name, kind) for name, kind in _evaluators()}
    return {FOLDER / name: text for name, text in {**pages, "README.md": index()}.items()}


if __name__ == "__main__" and "--write" in sys.argv:
    FOLDER.mkdir(exist_ok=True)
    wanted = rendered()
    for old in FOLDER.glob("*.md"):
        if old not in wanted:
            old.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
