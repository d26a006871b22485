"""The [policy] of a spec: one that ships with the package, a file, or written out."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from audit.config.limits import MOST_NAME
from audit.config.ready import POLICIES, policy_names
from audit.config.tables import Table, absolute, read_toml
from audit.core.errors import InputError, nearest
from audit.core.policy import Criterion, Policy, Waiver
from audit.core.rows import MODALITIES


def policy_of(table: Table | None, base: Path) -> Policy:
    """Return the policy that a spec's ``[policy]`` names, or writes out; waivers stand beside either."""
    if table is None:
        return named_policy("default")
    if not {"use", "file"} & set(table.values):
        return _inline(table, "inline", base)
    waivers = _waivers(table)
    if "use" in table.values:
        policy = named_policy(table.text("use"))
    else:
        policy = _from_file(absolute(table.text("file"), base))
    table.close()
    return replace(policy, waivers=(*policy.waivers, *waivers))


def named_policy(name: str) -> Policy:
    """Return a policy that ships with the package."""
    known = policy_names()
    if name not in known:
        raise InputError(
            f"policy.use is '{name}'. {nearest(name, known)} Or name a file: [policy] file = \"…\"."
        )
    return _inline(
        Table("policy", tomllib.loads(POLICIES.joinpath(f"{name}.toml").read_text(encoding="utf-8"))),
        name,
        Path(),
    )


def _from_file(path: Path) -> Policy:
    try:
        return policy_file(path)
    except InputError as error:
        raise type(error)(f"policy.file cannot be read: {error}") from None


def policy_file(path: Path) -> Policy:
    """Return the policy of a file. Raises InputError that says what is wrong in it."""
    about = "policy", "it has [[criteria]], each with metric and at_most or at_least."
    return _inline(Table(path.name, read_toml(path, *about)), path.stem, path.parent)


def _inline(table: Table, name: str, base: Path) -> Policy:
    criteria = tuple(_criterion(t, base) for t in table.tables("criteria") or ())
    policy = Policy(table.text("name", name), table.text("version", "1"), criteria, _waivers(table))
    table.close()
    if not criteria:
        raise InputError(
            f"{table.where} has no criteria. Write [[policy.criteria]] with metric, why, and at_most, at_least, within_floor, or baseline and margin."
        )
    return policy


def _criterion(table: Table, base: Path) -> Criterion:
    metric, at_most, at_least = table.text("metric"), table.number("at_most"), table.number("at_least")
    within_floor, margin = table.number("within_floor"), table.number("margin")
    baseline, family = (
        table.text("baseline", "", most=MOST_NAME * 10),
        table.text("family", "", most=MOST_NAME),
    )
    if baseline.endswith(".json"):
        baseline = str(absolute(baseline, base))
    why, every_group = table.text("why", ""), table.boolean("every_group", False)
    required, blocking = table.boolean("required", True), table.boolean("blocking", True)
    modalities = table.texts("modalities")
    for modality in modalities:
        if modality not in MODALITIES:
            raise InputError(
                f"{table.name('modalities')} names '{modality}'. {nearest(modality, MODALITIES)}"
            )
    table.close()
    try:
        criterion = Criterion(
            metric,
            at_most,
            at_least,
            why,
            every_group,
            modalities,
            within_floor,
            required,
            blocking,
            family,
            baseline,
            margin,
        )
    except ValueError as error:
        raise InputError(f"{table.where}: {error}") from error
    if not why:
        raise table.missing("why", "a sentence that says where the threshold comes from")
    return criterion


def _waivers(table: Table) -> tuple[Waiver, ...]:
    return tuple(_waiver(t) for t in table.tables("waivers") or ())


def _waiver(table: Table) -> Waiver:
    metric, owner, reason = table.text("metric"), table.text("owner"), table.text("reason")
    expires, group = table.day("expires"), table.table("group")
    named = () if group is None else tuple((name, group.text(name)) for name in list(group.values))
    table.close()
    try:
        return Waiver(metric, owner, reason, expires, named)
    except ValueError as error:
        raise InputError(f"{table.where}: {error}") from error
