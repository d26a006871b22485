"""Write the tables of the README that are made from the code.

    python docs/tables.py --write

Without ``--write`` nothing is changed; ``tests/test_docs.py`` compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from audit.cli.main import COMMANDS
from audit.registry import catalogue

README = Path(__file__).parents[1] / "README.md"


def commands() -> str:
    lines = ["| command | does |", "|---|---|"]
    return "\n".join(lines + [f"| `audit {name}` | {text} |" for name, text in COMMANDS.items()])


def evaluators() -> str:
    lines = ["| evaluator | measures | needs |", "|---|---|---|"]
    for name, kind in catalogue("evaluators").survey().items():
        needs = kind.about.needs
        wants = [" or ".join(f"`{c}`" for c in choice) for choice in needs.choices]
        wants += [f"split `{split}`" for split in needs.splits]
        wants += ["real examples to compare with"] if needs.compares else []
        wants += [f"{' or '.join(needs.modalities)}"] if needs.modalities else []
        wants += ["a feature extractor"] if needs.features else []
        lines.append(f"| `{name}` | {kind.about.summary} | {'; '.join(wants)} |")
    return "\n".join(lines)


def models() -> str:
    """Every included model: what it is, how large, and what an audit may ask of it."""
    adapter = catalogue("models").load("included")
    lines = ["| model | family | parameters | offers | planted defect |", "|---|---|--:|---|---|"]
    for name in catalogue("included").names():
        card, offers = adapter.describe(adapter.refer({"use": name}))
        words = ", ".join(f"`{offer}`" for offer in sorted(offers))
        lines.append(f"| `{name}` | {card.family} | {card.parameters:,} | {words} | {_defect(name)} |")
    return "\n".join(lines)


def _defect(name: str) -> str:
    defect: str = catalogue("included").load(name).defect
    return defect


def extractors() -> str:
    """Every feature extractor and the first sentence of what it says of itself."""
    lines = ["| extractor | gives |", "|---|---|"]
    for name, kind in catalogue("extractors").survey().items():
        first = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        lines.append(f"| `{name}` | {first} |")
    return "\n".join(lines)


def rendered(text: str) -> str:
    """Return the README with its tables made anew."""
    for name, table in _TABLES.items():
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = between.sub(lambda found, table=table: f"{found[1]}{table()}\n{found[2]}", text)
    return text


_TABLES = {"commands": commands, "evaluators": evaluators, "extractors": extractors, "models": models}


if __name__ == "__main__" and "--write" in sys.argv:
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
