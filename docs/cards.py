"""Make the cards of included models again, each from an audit of the weights that ship.

    python docs/cards.py digits-vae portraits-gan [--store FOLDER]

Each card is what ``audit report --format model-card`` writes of an audit with every evaluator that applies; the part from
``## Training`` on says how the weights were made and stays. ``audit train NAME`` writes both parts of a new model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from audit.included.card import CARD, spec_of
from audit.included.training.recipe import RECIPES, recorded

TRAINING = "\n## Training\n"


def remake(name: str, store: Path) -> None:
    """Audit an included model and put the record's card in front of what is known of its training."""
    path = RECIPES / name / CARD
    _, heading, training = path.read_text(encoding="utf-8").partition(TRAINING)
    if not heading:
        raise SystemExit(f"{path} has no heading '## Training': nothing would be left of how it was trained.")
    spec, card = store / f"{name}.toml", store / f"{name}.md"
    spec.write_text(spec_of(recorded(name), None), encoding="utf-8")
    audit, kept = [sys.executable, "-m", "audit"], ["--store", str(store / name)]
    done = subprocess.run([*audit, "run", str(spec), *kept, "--executor", "inline"], check=False)  # noqa: S603 - our own command
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"The audit of {name} was not completed; its card stays as it was.")
    subprocess.run([*audit, "report", *kept, "--format", "model-card", "-o", str(card)], check=True)  # noqa: S603
    path.write_text(card.read_text(encoding="utf-8") + heading + training, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+")
    parser.add_argument(
        "--store", type=Path, help="Where runs are kept; what is there already is not made again."
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or Path(folder)
        store.mkdir(parents=True, exist_ok=True)
        for name in given.names:
            began = time.monotonic()
            remake(name, store)
            sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
