"""The spec file: what it may say, as values."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from audit.config.limits import MOST_NAME, MOST_SAMPLES, MOST_SEED
from audit.config.tables import Table
from audit.core.errors import InputError, nearest
from audit.core.options import belongs
from audit.core.policy import Criterion, Policy
from audit.core.rows import MODALITIES
from audit.formats.hostile import UnreadableError, printable
from audit.formats.texts import read_whole

_PATHS = ("path", "weights", "train", "holdout", "metadata", "python_path", "canaries")
"""Options of [model] and [data] that name files: relative ones are relative to the spec."""

_POLICIES = files("audit") / "policies"
_MOST_CHARACTERS = 10_000_000


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Where and how work is done; none of it changes a number."""

    executor: str = "pool"
    workers: int = 0
    device: str = "auto"
    time_limit: float = 3600.0


RESERVED = ("name", "as", "features")
"""Keys of [[evaluators]] that are not parameters of an evaluator."""


@dataclass(frozen=True, slots=True)
class EvaluatorSpec:
    """One entry of [[evaluators]]: ``label`` is what its metrics begin with (``as``), ``extractors`` are its own, by role.

    Relative paths among its parameters are relative to ``base``.
    """

    name: str
    table: Table
    label: str = ""
    extractors: Mapping[str, str] = field(default_factory=dict)
    base: Path = field(default_factory=Path)


@dataclass(frozen=True, slots=True)
class AuditSpec:
    """A spec, read and checked as far as possible without loading a plugin."""

    name: str
    seed: int
    samples: int
    shard_size: int
    adapter: str
    model: Mapping[str, Any]
    data: str | None
    data_options: Mapping[str, Any]
    extractors: Mapping[str, str]
    evaluators: tuple[EvaluatorSpec, ...] | None
    policy: Policy
    run: RunSettings

    def only(self, names: tuple[str, ...]) -> AuditSpec:
        """Return the spec with no evaluators but the named ones."""
        known = {e.label or e.name: e for e in self.evaluators or ()}
        chosen = tuple(known.get(n, EvaluatorSpec(n, Table(f"--only {n}", {}))) for n in dict.fromkeys(names))
        return replace(self, evaluators=chosen)


def read_spec(path: Path) -> AuditSpec:
    """Read a spec file. Raise InputError on anything it may not say."""
    values = _toml(path, "spec", "'audit run --help' shows an example.")
    try:
        return parse_spec(values, path.parent, path.stem)
    except InputError as error:
        raise type(error)(f"{printable(path)}: {error}") from error


def _toml(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """Read a TOML file, with or without a byte-order mark. Raise InputError."""
    try:
        text = read_whole(path, _MOST_CHARACTERS)
    except UnreadableError as error:
        if isinstance(error.__cause__, FileNotFoundError) and not path.is_symlink():
            raise InputError(
                f"There is no {what} at {printable(path)}. {remedy[:1].upper() + remedy[1:]}"
            ) from None
        raise InputError(
            f"{printable(path)} cannot be read: {error}. A {what} is a TOML file; {remedy}"
        ) from None
    if "\r" in text and "\n" not in text:
        raise InputError(
            f"{printable(path)} is not valid TOML: its lines end in CR alone, as on old Macs. "
            "Convert the line ends to LF."
        )
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{printable(path)} is not valid TOML: it is nested too deep.") from None
    except ValueError as error:  # TOMLDecodeError is one; so is what Python says of a number too long to read
        raise InputError(f"{printable(path)} is not valid TOML: {printable(str(error))}.") from None


def parse_spec(values: Mapping[str, Any], base: Path, name: str = "audit") -> AuditSpec:
    """Check the tables of a spec; ``base`` is the folder that its paths are relative to, ``name`` its name unless it says one."""
    top = Table("", values)
    name = top.text("name", name)
    seed = top.integer("seed", 0, most=MOST_SEED)
    samples = top.integer("samples", 2000, least=1, most=MOST_SAMPLES)
    shard_size = top.integer("shard_size", 500, least=1)
    adapter, model = _model(_required(top, "model", 'use = "digits-vae", or adapter and path'), base)
    data, data_options = _data(top, adapter, base)
    features = top.table("features")
    extractors = {} if features is None else _roles(features)
    listed = top.tables("evaluators")
    evaluators = None if listed is None else tuple(_evaluator(t, base) for t in listed)
    policy = _policy(top.table("policy"), base)
    settings = _run(top.table("run"))
    top.close()
    return AuditSpec(
        name,
        seed,
        samples,
        shard_size,
        adapter,
        model,
        data,
        data_options,
        extractors,
        evaluators,
        policy,
        settings,
    )


def _absolute(path: str, base: Path) -> Path:
    try:
        return (base / Path(path).expanduser()).resolve()
    except (ValueError, RuntimeError, OSError) as error:  # a NUL, an unknown user's home, a loop of links
        raise InputError(f"'{path}' is not a path: {str(error).rstrip('.')}.") from None


def _resolved(options: dict[str, Any], base: Path) -> dict[str, Any]:
    return {
        key: str(_absolute(value, base)) if key in _PATHS and isinstance(value, str) else value
        for key, value in options.items()
    }


def _model(table: Table, base: Path) -> tuple[str, dict[str, Any]]:
    if "use" in table.values and "adapter" in table.values:
        raise InputError(
            "[model] has both 'use' and 'adapter'. 'use' names an included model; choose one of them."
        )
    if "use" in table.values:
        return "included", {"use": table.text("use"), **_resolved(table.rest(), base)}
    if "adapter" not in table.values:
        raise InputError(
            '[model] names no model. Write use = "digits-vae" for an included model, '
            'or adapter = "transformers" and path = "…".'
        )
    adapter = table.text("adapter")
    options = _resolved(table.rest(), base)
    if "asset" in options:
        from audit import assets

        if not isinstance(options["asset"], str):
            raise table.refuse("asset", "the name of an asset")
        options["path"] = str(assets.path(options.pop("asset")))
    return adapter, options


def _required(top: Table, key: str, content: str) -> Table:
    table = top.table(key)
    if table is None:
        raise top.missing(key, f"a table, written [{key}], with {content}")
    return table


def _data(top: Table, adapter: str, base: Path) -> tuple[str | None, dict[str, Any]]:
    """Return the dataset and its options; None leaves it to the card of an included model."""
    table = top.table("data")
    if table is not None:
        return table.text("use"), _resolved(table.rest(), base)
    if adapter == "included":
        return None, {}
    raise top.missing(
        "data", 'a table, written [data], with use = "digits"; only an included model brings its own data'
    )


def _roles(table: Table) -> dict[str, str]:
    """Return the extractor of each role; ``use`` is another spelling of the role ``features``."""
    if "use" in table.values and "features" in table.values:
        raise InputError(
            f"{table.where} has both 'use' and 'features', which mean the same role. Keep one of them."
        )
    for key in table.values:
        if misplaced := belongs(key, f"[{table.where}]"):
            raise InputError(f"There is no key '{table.name(key)}'. {misplaced.rstrip()}")
    roles = {("features" if role == "use" else role): table.text(role) for role in table.values}
    table.close()
    return roles


def _evaluator(table: Table, base: Path) -> EvaluatorSpec:
    name, label = table.text("name", most=MOST_NAME), table.text("as", "", most=MOST_NAME)
    extractors: dict[str, str] = {}
    if isinstance(table.values.get("features"), str):
        extractors = {"features": table.text("features")}
    elif (own := table.table("features")) is not None:
        extractors = _roles(own)
    if label:
        label = _full_label(table, label, name.partition(".")[0])
    return EvaluatorSpec(name, table, label, extractors, base)


def _full_label(table: Table, label: str, dimension: str) -> str:
    """Return what an evaluator is called, with its dimension before it: ``pixels`` of quality is ``quality.pixels``."""
    word = label.removeprefix(f"{dimension}.")
    if not re.fullmatch(r"[a-z0-9_]+", word):
        raise InputError(
            f"{table.name('as')} is '{label}'. Accepted: a name of small letters, digits and underscores, such as "
            f"\"frechet_pixels\"; its metrics begin with '{dimension}.' and that name."
        )
    return f"{dimension}.{word}"


def _run(table: Table | None) -> RunSettings:
    if table is None:
        return RunSettings()
    settings = RunSettings(
        executor=table.text("executor", "pool"),
        workers=table.integer("workers", 0, most=1024),
        device=table.text("device", "auto"),
        time_limit=3600.0 if (limit := table.number("time_limit")) is None else limit,
    )
    if settings.time_limit <= 0:
        raise table.refuse("time_limit", "a number of seconds above 0")
    table.close()
    return settings


def _policy(table: Table | None, base: Path) -> Policy:
    if table is None:
        return named_policy("default")
    if "use" in table.values:
        use = table.text("use")
        table.close()
        return named_policy(use)
    if "file" in table.values:
        path = _absolute(table.text("file"), base)
        table.close()
        return _policy_file(path)
    return _inline(table, "inline")


def policy_names() -> tuple[str, ...]:
    """Return the names of the policies that ship with the package."""
    return tuple(
        sorted(p.name.removesuffix(".toml") for p in _POLICIES.iterdir() if p.name.endswith(".toml"))
    )


def named_policy(name: str) -> Policy:
    """Return a policy that ships with the package."""
    known = policy_names()
    if name not in known:
        raise InputError(
            f"policy.use is '{name}'. {nearest(name, known)} Or name a file: [policy] file = \"…\"."
        )
    return _inline(
        Table("policy", tomllib.loads(_POLICIES.joinpath(f"{name}.toml").read_text(encoding="utf-8"))), name
    )


def _policy_file(path: Path) -> Policy:
    try:
        values = _toml(path, "policy", "it has [[criteria]], each with metric and at_most or at_least.")
    except InputError as error:
        raise type(error)(f"policy.file cannot be read: {error}") from None
    return _inline(Table(path.name, values), path.stem)


def _inline(table: Table, name: str) -> Policy:
    criteria = tuple(_criterion(t) for t in table.tables("criteria") or ())
    policy = Policy(table.text("name", name), table.text("version", "1"), criteria)
    table.close()
    if not criteria:
        raise InputError(
            f"{table.where} has no criteria. Write [[policy.criteria]] with metric, why, and at_most, at_least or within_floor."
        )
    return policy


def _criterion(table: Table) -> Criterion:
    metric, at_most, at_least = table.text("metric"), table.number("at_most"), table.number("at_least")
    within_floor = table.number("within_floor")
    why, every_group = table.text("why", ""), table.boolean("every_group", False)
    required = table.boolean("required", True)
    modalities = table.texts("modalities")
    for modality in modalities:
        if modality not in MODALITIES:
            raise InputError(
                f"{table.name('modalities')} names '{modality}'. {nearest(modality, MODALITIES)}"
            )
    table.close()
    try:
        criterion = Criterion(metric, at_most, at_least, why, every_group, modalities, within_floor, required)
    except ValueError as error:
        raise InputError(f"{table.where}: {error}") from error
    if not why:
        raise table.missing("why", "a sentence that says where the threshold comes from")
    return criterion
