"""Turn an evaluator's inputs into outcomes, named by what they rest on."""

from __future__ import annotations

import dataclasses
import inspect
import time
from functools import cache
from importlib.resources import files
from pathlib import Path

from audit.core.errors import UndefinedError
from audit.core.evaluators import Evaluator
from audit.core.facts import BlobStore, Failed, Scored
from audit.core.identity import Digest, Key, digest_file, digest_files, key_of
from audit.core.measurements import Evidence, Measurement, Outcome, Undefined
from audit.core.plan import parameters_of
from audit.core.recipes import Inputs
from audit.engine.worker import StoreFailure, detail_of, sentence
from audit.store import codec


def scoring_key(evaluator: Evaluator, inputs: Inputs) -> Key:
    """Name one scoring: the evaluator's source and parameters, the bytes it reads and the plain values it gets.

    ``inputs`` has digests in place of recipes. Scoring is cheap, so it is redone when anything in reach of its formula
    changed: the evaluator's own folder or any module of ``audit.stats``.
    """
    return key_of(
        "scoring",
        2,
        {
            "evaluator": evaluator.about.name,
            "source": source_digest(type(evaluator)),
            "parameters": parameters_of(evaluator),
            "inputs": inputs,
        },
    )


def source_digest(evaluator: type) -> Digest:
    """Return the digest of the code a scoring rests on."""
    return _source_digest(Path(inspect.getfile(evaluator)))


@cache
def _source_digest(own: Path) -> Digest:
    folders = {"stats": Path(str(files("audit.stats")))}
    if (own.parent / "__init__.py").exists():
        folders["own"] = own.parent
    sources = {
        f"{name}/{path.name}": path
        for name, folder in folders.items()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }
    return digest_files({**sources, "evaluator": own}, _digest)


_digest = cache(digest_file)
"""Evaluators share most of their sources."""


def score(evaluator: Evaluator, key: Key, inputs: Inputs, blobs: BlobStore, began: float) -> Scored | Failed:
    """Measure; what the evaluator raises becomes a Failed, and a statistic without a value an Undefined."""
    about = evaluator.about
    try:
        outcomes = tuple(_kept(outcome, blobs) for outcome in evaluator.measure(**inputs))
        strangers = {o.metric for o in outcomes} - set(about.declared)
        if strangers:
            raise ValueError(
                f"it reported {', '.join(sorted(strangers))}, which its description does not declare"
            )
    except UndefinedError as error:
        outcomes = tuple(Undefined(metric, str(error)) for metric in about.declared)
    except OSError:
        raise
    except StoreFailure as failure:
        raise failure.error from failure
    except (Exception, SystemExit) as error:  # evaluators are plugins and may raise anything
        return Failed(key, 0, f"{about.name}: {sentence(error)}", detail_of(error), 1)
    return Scored(key, about.name, outcomes, time.perf_counter() - began)


def without_value(fact: Failed) -> str | None:
    """Return the reason when a shard was not made because its statistic has no value for such rows: no fault of anybody."""
    mark = f"{UndefinedError.__name__}: "
    return fact.error.removeprefix(mark) if fact.error.startswith(mark) else None


def undefined(evaluator: Evaluator, reason: str) -> Scored:
    """Return what an evaluator finds when an input of it has no value: no number, and why."""
    about = evaluator.about
    return Scored(Key(""), about.name, tuple(Undefined(metric, reason) for metric in about.declared), 0.0)


def _kept(outcome: Outcome, blobs: BlobStore) -> Outcome:
    """Put the content of evidence into the store and leave its digest."""
    if not isinstance(outcome, Measurement) or not outcome.evidence:
        return outcome
    kept = tuple(
        e
        if isinstance(e.content, str)
        else dataclasses.replace(e, content=blobs.put(codec.encode(e.content)))
        for e in outcome.evidence
    )
    return _replaced(outcome, kept)


def _replaced(measurement: Measurement, evidence: tuple[Evidence, ...]) -> Measurement:
    return dataclasses.replace(measurement, evidence=evidence)
