"""audit label: write samples of an audit that a person is to label, and the file to fill in."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.options import address, format_option, print_json, store_option
from audit.cli.visible import say, visible
from audit.core.errors import InputError

if TYPE_CHECKING:
    from audit.core.rows import Rows
    from audit.core.subjects import Subject
    from audit.store.runs import Store

FILE = "labels.csv"
_EPILOG = """\
\b
Examples:
  audit run examples/portraits.toml
  audit label examples/portraits.toml to-label --count 300

\b
Fill in labels.csv: leave a cell empty where nobody can tell, and write a second
line with another name in the column 'annotator' where two people look. Then run
the audit again with the lines that this command prints.
"""


@click.command("label", epilog=_EPILOG)
@click.argument("spec", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--count", type=click.IntRange(1, 100_000), default=300, show_default=True, help="How many to label."
)
@store_option
@format_option
def command(spec: Path, out: Path, count: int, store: str | None, form: str) -> int:
    """Write COUNT samples of the audit of SPEC, drawn at random, into the new folder OUT, with a CSV file to label them in.

    The audit has to be run before: what is written are the samples that it drew, so that the labels are of these very ones.
    """
    from audit.config.assemble import assemble
    from audit.config.spec import read_spec
    from audit.store.runs import open_store

    if out.exists():
        raise InputError(
            f"{visible(str(out))} exists. Name a folder that does not, so that no label is lost."
        )
    subject = assemble(read_spec(spec)).plan.subject
    known = dict(subject.extractors).get("attributes")
    attributes = () if known is None else known.attributes
    if not attributes:
        raise InputError(
            'The audit names no attribute classifier, so it is not known what to label. Write attributes = "…" in [features].'
        )
    place = address(store)
    with open_store(place, create=False, read_only=True) as opened:
        rows = chosen(subject, opened, count)
    names = written(rows, out, [attribute.name for attribute in attributes])
    values = [f"{a.name}={', '.join(a.values)}" for a in attributes]
    folder = f', folder = "{out.name}"' if names else ""
    table = (
        f'hand_labels = {{ use = "labels", path = "{out.name}/{FILE}"{folder}, values = {_toml(values)} }}'
    )
    if form == "json":
        print_json({"written": rows.num_rows, "labels": FILE, "values": values, "features": table})
        return 0
    say(f"{rows.num_rows:,} samples to label are in {visible(str(out))}; fill in {FILE} there.")
    for line in values:
        say(f"  {visible(line)}")
    say(f"Then write into [features] of the spec, and move {visible(out.name)} beside it:\n{visible(table)}")
    return 0


def chosen(subject: Subject, store: Store, count: int) -> Rows:
    """Return ``count`` of the samples that an audit drew, the same ones each time. Raise InputError where they are not all there."""
    import numpy as np

    from audit.core.recipes import generator
    from audit.core.rows import concat
    from audit.store import codec

    recipe: Any = subject.samples()
    made = store.made(recipe.key)
    if len(made) < recipe.shards:
        raise InputError(
            "The store does not hold the samples of this audit. Run 'audit run' with the same spec and store first."
        )
    shards = [codec.decode(recipe.value, store.blobs.get(made[i].digest)) for i in range(recipe.shards)]
    rows = concat(shards)
    drawn = generator(recipe.seed_key, "label").permutation(rows.num_rows)[:count]
    return rows.take(np.sort(drawn))


def written(rows: Rows, out: Path, attributes: list[str]) -> list[str]:
    """Write rows into a new folder and return the names of the pictures; none for texts, which stand in the file themselves."""
    from PIL import Image

    from audit.core.rows import IMAGE, TEXT, images_of, texts_of

    out.mkdir(parents=True)
    names: list[str] = []
    if IMAGE in rows.column_names:
        for number, image in enumerate(images_of(rows), 1):
            names.append(f"{number:06}.png")
            Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(out / names[-1])
    key, first = ("file", names) if names else ("text", texts_of(rows, TEXT))
    with (out / FILE).open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow([key, "annotator", *attributes])
        lines.writerows([name, "first", *[""] * len(attributes)] for name in first)
    return names


def _toml(values: list[str]) -> str:
    import json

    return f"[{', '.join(json.dumps(value, ensure_ascii=False) for value in values)}]"
