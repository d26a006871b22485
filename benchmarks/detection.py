"""Is every planted defect caught, in the right dimension, and is no clean model failed?

    python benchmarks/detection.py --store STORE [--samples 1000] [--only portraits-gan …] [--no-ladder] [--policy image] [--out detection.md]

Audits every defective twin among the included models and the clean model it stands beside with ``audit run``: every evaluator,
the default policy or the one that is named, nothing else set but the number of samples. Then the dose ladder: real pictures that are blurred, noisy, washed
out or without some of their modes, as if they were samples, at growing doses from none. Writes a table in Markdown, and beside it the
same as JSON after every audit. One store keeps everything: what was made is not made again, so a run that was ended resumes, and
after a new evaluator or another policy only what is new is computed.

A defect counts as caught where a criterion of its dimension fails on the twin and passes, or cannot be decided, on the clean model. Beside
that stand the metrics whose whole interval is on the worse side of the clean model's whole interval, whether a criterion asks for them or not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.evaluators import Dimension
from audit.core.measurements import Direction, Interval, Measurement
from audit.core.policy import Judgement, Verdict, overall
from audit.core.records import AuditRecord, from_plain
from audit.core.rows import Images, images_of
from audit.registry import catalogue

DEFECT_OF = {
    "collapsed": Dimension.QUALITY,
    "skewed": Dimension.FAIRNESS,
    "biased": Dimension.FAIRNESS,
    "copying": Dimension.PRIVACY,
    "overfit": Dimension.PRIVACY,
    "leaky": Dimension.PRIVACY,
}
"""The dimension that a twin's defect belongs to, by the last word of its name; another twin may be caught anywhere."""
SHOWN = 5
"""Metrics that a cell of the table names at most."""


class AuditError(Exception):
    """An audit ended without a record; the others are still made."""


@dataclass(frozen=True, slots=True)
class Run:
    """One audit: what it was of, its record, and the seconds of work in it, shared artifacts included."""

    name: str
    record: AuditRecord

    @property
    def seconds(self) -> float:
        return sum(artifact.seconds for artifact in self.record.artifacts)

    def judged(self, dimension: str) -> list[Judgement]:
        return [j for j in self.record.judgements if j.criterion.metric.partition(".")[0] == dimension]

    def verdict(self, dimension: str) -> str:
        judged = self.judged(dimension)
        return overall(judged).value if judged else "nothing asked"

    def failed(self, dimension: str = "") -> list[str]:
        """Return the metrics, with the group where there is one, of the criteria that failed."""
        kept = self.judged(dimension) if dimension else self.record.judgements
        return list(dict.fromkeys(_named(j.because) for j in kept if j.verdict is Verdict.FAIL))


def _named(found: Any) -> str:
    if not isinstance(found, Measurement):
        return "?"
    return found.metric + "".join(f"[{name}={value}]" for name, value in found.group)


def worse(run: Run, beside: Run) -> list[str]:
    """Return the metrics of all examples whose whole interval is worse than the other run's, the farthest apart first."""
    others = {m.metric: m for m in beside.record.measurements if not m.group and not m.void}
    found: list[tuple[float, str]] = []
    for m in run.record.measurements:
        other = others.get(m.metric)
        if m.group or m.void or other is None or m.direction is Direction.NEITHER:
            continue
        if isinstance(m.uncertainty, Interval) and isinstance(other.uncertainty, Interval):
            higher = m.direction is Direction.HIGHER_IS_BETTER
            gap = (
                other.uncertainty.low - m.uncertainty.high
                if higher
                else m.uncertainty.low - other.uncertainty.high
            )
            widths = m.uncertainty.half_width + other.uncertainty.half_width
            if gap > 0:
                found.append((-gap / max(widths, 1e-300), m.metric))
    return [metric for _, metric in sorted(found)]


def audited(
    name: str, spec: Mapping[str, Any], arguments: argparse.Namespace, only: Iterable[str] = ()
) -> Run:
    """Run one audit with the command and return what it recorded."""
    path = Path(arguments.store) / "specs" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_toml({"name": name, "seed": 0, "samples": arguments.samples}, spec), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "audit",
        "run",
        str(path),
        "--store",
        str(arguments.store),
        "--format",
        "json",
    ]
    command += [word for evaluator in only for word in ("--only", evaluator)]
    command += ["--workers", str(arguments.workers)] if arguments.workers else []
    print(f"{name} …", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout.lstrip().startswith("{"):
        raise AuditError(f"the audit of {name} ended with {done.returncode} and without a record")
    return Run(name, from_plain(json.loads(done.stdout)))


def _toml(top: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for table, values in tables.items():
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def data_for(name: str, clean: str) -> dict[str, dict[str, Any]]:
    """Return the table [data] of a model: none, so that its card decides, but for a twin whose own data hold its defect.

    A model that learnt a skewed association is faithful to what it was trained on; it is held against the data of the clean one.
    """
    if name == clean or DEFECT_OF.get(name.rpartition("-")[2]) is not Dimension.FAIRNESS:
        return {}
    adapter = catalogue("models").load("included")
    trained_on = adapter.describe(adapter.refer({"use": clean}))[0].trained_on
    return {"data": {"use": trained_on.loader, **dict(trained_on.options)}}


def pairs(only: Iterable[str]) -> list[tuple[str, str]]:
    """Return each defective twin with the clean model whose name its own begins with."""
    known = catalogue("included").survey()
    defects = {name: str(getattr(kind, "defect", "")) for name, kind in known.items()}
    clean = sorted((name for name, defect in defects.items() if not defect), key=len)
    twins = [name for name, defect in defects.items() if defect]
    found = [(t, next(c for c in reversed(clean) if t.startswith(f"{c}-"))) for t in sorted(twins)]
    wanted = tuple(only)
    return [pair for pair in found if not wanted or set(wanted) & set(pair)]


def blurred(images: Images, dose: float) -> Images:
    from scipy.ndimage import gaussian_filter

    return _pixels(gaussian_filter(images.astype(float), (0, dose, dose, 0)))


def noisy(images: Images, dose: float) -> Images:
    return _pixels(images + np.random.default_rng(1).normal(0, dose, images.shape))


def washed_out(images: Images, dose: float) -> Images:
    return _pixels(images * (1 - dose) + 200.0 * dose)


def _pixels(values: Any) -> Images:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


LADDER: Mapping[str, tuple[Callable[[Images, float], Images] | None, tuple[float, ...], str]] = {
    "blurred": (blurred, (0.4, 0.8, 1.6), "σ of {:g} pixels"),
    "noisy": (noisy, (10, 20, 40), "σ of {:g} of 255"),
    "washed-out": (washed_out, (0.1, 0.25, 0.5), "{:.0%} towards light grey"),
    "modes-dropped": (None, (1, 3, 6), "without {:g} of 11 occupations"),
}


@cache
def real() -> tuple[Images, list[str]]:
    """Return distinct training pictures of the world of portraits in random order, and their occupations."""
    dataset = catalogue("datasets").load("portraits")
    rows = dataset.load(dataset.refer({}), "train")
    alike = dict(dataset.describe(dataset.refer({})).alike).get("train", rows.num_rows)
    pixels = images_of(rows)[:alike]
    _, first = np.unique(pixels.reshape(alike, -1), axis=0, return_index=True)
    order = np.random.default_rng(0).permutation(first)
    occupations = rows.column("occupation").to_pylist()
    return pixels[order], [occupations[i] for i in order]


def folder_of(kind: str, dose: float, arguments: argparse.Namespace) -> Path:
    """Write ``samples`` pictures with a defect at a dose into a folder of their own and return it."""
    from PIL import Image

    folder = Path(arguments.store) / "ladder" / f"{kind}-{dose:g}-{arguments.samples}"
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    images, occupations = real()
    if kind == "modes-dropped":
        dropped = set(sorted(set(occupations))[: int(dose)])
        images = images[[occupation not in dropped for occupation in occupations]]
    change = LADDER[kind][0] if kind in LADDER else None
    images = images[: arguments.samples]
    for i, image in enumerate(images if change is None else change(images, dose)):
        Image.fromarray(image).save(folder / f"{i:06}.png")
    (folder / "done").touch()
    return folder


def ladder(arguments: argparse.Namespace) -> Iterable[tuple[str, str, Run]]:
    """Yield each kind of defect, the dose in words and its audit; clean pictures come first."""
    only = [name for name in catalogue("evaluators").names() if name.startswith("quality.")]

    def audit(kind: str, dose: float) -> Run:
        folder = folder_of(kind, dose, arguments)
        model = {"adapter": "samples_on_disk", "path": str(folder.resolve())}
        spec: dict[str, Any] = {
            "model": model,
            "data": {"use": "portraits"},
            "policy": {"use": arguments.policy},
        }
        if arguments.features:
            spec["features"] = {"features": arguments.features}
        return audited(f"ladder-{kind}-{dose:g}", spec, arguments, only)

    yield "real", "no defect", audit("real", 0)
    for kind, (_, doses, words) in LADDER.items():
        for dose in doses:
            yield kind, words.format(dose), audit(kind, dose)


def table_of_twins(rows: Iterable[tuple[str, Run, Run]]) -> list[list[str]]:
    """Return the lines of the first table: each twin, what it should fail, what both got and by what."""
    lines = [
        [
            "twin",
            "defect",
            "caught",
            *(f"{d.value}: twin / clean" for d in Dimension),
            "fails",
            "worse than clean",
            "seconds",
        ]
    ]
    for defect, twin, clean in rows:
        lines.append(
            [
                f"`{twin.name}`",
                defect,
                caught(twin, clean),
                *(f"{twin.verdict(d)} / {clean.verdict(d)}" for d in Dimension),
                _listed(twin.failed()),
                _listed(worse(twin, clean)),
                f"{twin.seconds:.0f} / {clean.seconds:.0f}",
            ]
        )
    return lines


def caught(twin: Run, clean: Run) -> str:
    """Say whether a twin fails in the dimension of its defect where the clean model does not."""
    asked = DEFECT_OF.get(twin.name.rpartition("-")[2])
    dimensions = [asked] if asked else list(Dimension)
    here = any(twin.verdict(d) == "fail" and set(twin.failed(d)) - set(clean.failed(d)) for d in dimensions)
    where = f" ({asked.value})" if asked else ""
    alarm = f"; clean model fails {_listed(clean.failed())}" if clean.failed() else ""
    return f"{'yes' if here else 'NO'}{where}{alarm}"


def table_of_doses(rows: Iterable[tuple[str, str, Run]]) -> list[list[str]]:
    """Return the lines of the second table: each defect and dose, its verdict, and what tells it from clean pictures."""
    lines = [["defect", "dose", "quality", "fails", "worse than real pictures", "seconds"]]
    reference: Run | None = None
    for kind, dose, run in rows:
        reference = reference or run
        told = worse(run, reference) if run is not reference else []
        lines.append(
            [kind, dose, run.verdict("quality"), _listed(run.failed()), _listed(told), f"{run.seconds:.0f}"]
        )
    return lines


def _listed(metrics: list[str]) -> str:
    rest = f" and {len(metrics) - SHOWN} more" if len(metrics) > SHOWN else ""
    return ", ".join(f"`{metric}`" for metric in metrics[:SHOWN]) + rest or "–"


def markdown(lines: list[list[str]]) -> str:
    head, *body = lines
    rows = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in line] for line in body)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", type=Path, required=True, help="folder of the store; keep it to resume")
    parser.add_argument(
        "--samples", type=int, default=1000, help="samples of every model, and pictures of every dose"
    )
    parser.add_argument(
        "--policy", default="default", help="a ready policy: default, image, text, restoration"
    )
    parser.add_argument("--only", nargs="*", default=(), help="twins or clean models; all unless given")
    parser.add_argument("--no-ladder", action="store_true", help="leave the dose ladder out")
    parser.add_argument("--no-twins", action="store_true", help="leave the twins out")
    parser.add_argument(
        "--features", help="feature extractor of the dose ladder; the default of audits unless given"
    )
    parser.add_argument("--workers", type=int, help="worker processes of each audit")
    parser.add_argument("--out", type=Path, default=Path("detection.md"))
    arguments = parser.parse_args()

    runs: dict[str, Run] = {}
    twins: list[tuple[str, Run, Run]] = []
    doses: list[tuple[str, str, Run]] = []

    def write() -> None:
        parts = [
            f"{arguments.samples:,} samples, policy {arguments.policy!r}.",
            markdown(table_of_twins(twins)) if twins else "",
        ]
        parts.append(markdown(table_of_doses(doses)) if doses else "")
        arguments.out.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
        plain = {"samples": arguments.samples, "twins": table_of_twins(twins), "doses": table_of_doses(doses)}
        arguments.out.with_suffix(".json").write_text(
            json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8"
        )

    problems: list[str] = []
    for pair in [] if arguments.no_twins else pairs(arguments.only):
        try:
            for name in pair:
                if name not in runs:
                    spec = {
                        "model": {"use": name},
                        "policy": {"use": arguments.policy},
                        **data_for(name, pair[1]),
                    }
                    runs[name] = audited(name, spec, arguments)
        except AuditError as error:
            problems.append(str(error))
            continue
        twin, clean = (runs[name] for name in pair)
        twins.append((catalogue("included").load(pair[0]).defect, twin, clean))
        write()
    try:
        for line in [] if arguments.no_ladder else ladder(arguments):
            doses.append(line)
            write()
    except AuditError as error:
        problems.append(str(error))
    if twins or doses:
        print(arguments.out.read_text(encoding="utf-8"))
    sys.exit("; ".join(problems) or None)


if __name__ == "__main__":
    main()
