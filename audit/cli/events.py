"""The events of a run as plain values, as they are logged, shown and sent from one process to another."""

from __future__ import annotations

from typing import Any

from audit.core.facts import Failed, Made, Needed, Scored
from audit.core.identity import Key
from audit.core.recipes import Recipe
from audit.engine.audit import AuditEvent, Began, Finished
from audit.engine.places import placeless
from audit.engine.run import Assessed
from audit.engine.scoring import without_value


class Plainly:
    """Says the events of one run; it remembers the recipes, so that an event says how many examples it brought."""

    def __init__(self) -> None:
        self._recipes: dict[Key, Recipe[Any]] = {}

    def said(self, event: AuditEvent) -> dict[str, Any]:
        """Return one event as plain values. Names of hosts and folders are left out: a log may leave the machine."""
        match event:  # mypy cannot see that these are all
            case Began(run=run, resumed=resumed):
                return {"event": "began", "run": run, "resumed": resumed}
            case Needed(recipes=recipes):
                self._recipes = {r.key: r for r, _, _ in recipes}
                artifacts = [
                    {"label": r.label, "key": r.key, "missing": missing, "made": made}
                    for r, missing, made in recipes
                ]
                return {"event": "needed", "artifacts": artifacts}
            case Made(key=key, shard=shard, digest=digest, seconds=seconds):
                examples = self._recipes[key].examples(shard)
                made = {"key": key, "shard": shard, "digest": digest, "examples": examples}
                return {"event": "made", **made, "seconds": round(seconds, 6)}
            case Failed(key=key, shard=shard) if (reason := without_value(event)) is not None:
                return {"event": "no value", "key": key, "shard": shard, "reason": reason}
            case Failed(key=key, shard=shard, error=error, attempts=attempts):
                failed = {"key": key, "shard": shard, "error": placeless(error), "attempts": attempts}
                return {"event": "failed", **failed}
            case Assessed(label=label, fact=Failed(error=error)):
                return {"event": "assessed", "evaluator": label, "failed": placeless(error)}
            case Assessed(label=label, fact=Scored() as fact):
                return {"event": "assessed", "evaluator": label, "outcomes": len(fact.outcomes)}
            case Finished(record=record):
                return {"event": "finished", "run": record.run, "verdict": record.verdict.value}
        raise AssertionError(f"{type(event).__name__} is no event of a run")
