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
        wants = [" or ".join(f"`{c}`" for c in choice) for choice in needs.capabilities]
        wants += [f"split `{split}`" for split in needs.splits]
        wants += [f"{' or '.join(needs.modalities)}"] if needs.modalities else []
        wants += ["a feature extractor"] if needs.features else []
        lines.append(f"| `{name}` | {kind.about.summary} | {'; '.join(wants)} |")
    return "\n".join(lines)


def rendered(text: str) -> str:
    """Return the README with its tables made anew."""
    for name, table in (("commands", commands()), ("evaluators", evaluators())):
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = between.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    return text


if __name__ == "__main__" and "--write" in sys.argv:
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
