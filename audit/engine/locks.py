"""A pre-registration: what an audit will do, written down before it runs, and how a run departs from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.core.identity import digest_of
from audit.core.plan import AuditPlan, parameters_of
from audit.engine.scoring import source_digest

FORMAT = 1
_SHOWN = 80
"""Characters of a value in the sentence about a deviation."""


def lock_of(plan: AuditPlan, settings: Mapping[str, Any], written: str) -> dict[str, Any]:
    """Return what is registered: model, data, sizes, seed, extractors, evaluators with their parameters and code, the policy.

    Where and with how many workers it runs is left out: it changes no number. ``written`` is the time, as ISO 8601.
    """
    subject = plan.subject
    says: dict[str, Any] = {
        "the model's adapter": subject.model.adapter,
        "the model's weights": subject.model.weights,
        "the data": subject.data.loader,
        "the content of the data": subject.data.content,
        **{
            f"the setting '{key}'": value
            for key, value in settings.items()
            if key not in ("run", "lock", "samples_asked")
        },
        "the policy": f"{plan.policy.name} {plan.policy.version}",
        "the criteria of the policy": [asdict(criterion) for criterion in plan.policy.criteria],
        "the waivers of the policy": [asdict(waiver) for waiver in plan.policy.waivers],
    }
    for step in plan.steps:
        says[f"the evaluator '{step.about.called}'"] = {
            "plugin": step.about.name,
            "parameters": parameters_of(step.evaluator),
            "source": source_digest(type(step.evaluator)),
            "runs": step in plan.planned,
        }
    plain: dict[str, Any] = json.loads(json.dumps(says))
    return {"lock": FORMAT, "name": plan.name, "written": written, "says": plain}


def read_lock(path: Path) -> dict[str, Any]:
    """Read a pre-registration with the digest of its bytes. Raise InputError for anything else."""
    try:
        content = path.read_bytes()
        lock = json.loads(content)
        if (
            lock["lock"] != FORMAT
            or not isinstance(lock["says"], dict)
            or not isinstance(lock["written"], str)
        ):
            raise ValueError("it is of another version")
    except OSError as error:
        raise InputError(f"The lock {path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"{path} is no pre-registration ({error}). 'audit plan SPEC --lock FILE' writes one."
        ) from None
    return {"written": lock["written"], "digest": digest_of(content), "says": lock["says"]}


def deviations(registered: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a sentence for everything in which a plan departs from what was registered.

    >>> deviations({"the data": "a", "the seed": 0}, {"the data": "b", "the model": "m"})
    ['the data: "a" was registered, it is "b"', 'the seed was registered and is not there', 'the model was not registered']
    """
    found = [
        f"{what}: {_short(value)} was registered, it is {_short(now[what])}"
        if what in now
        else f"{what} was registered and is not there"
        for what, value in registered.items()
        if now.get(what) != value or what not in now
    ]
    return found + [f"{what} was not registered" for what in now if what not in registered]


def _short(value: Any) -> str:
    said = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}… (digest {digest_of(said.encode())[:8]})"
