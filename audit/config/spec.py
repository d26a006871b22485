"""The spec file: what it may say, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from audit.config.limits import MOST_NAME, MOST_SAMPLES, MOST_SEED
from audit.config.policies import policy_of
from audit.config.tables import Table, absolute, read_toml
from audit.core.errors import InputError
from audit.core.options import belongs
from audit.core.policy import Policy
from audit.formats.hostile import printable
from audit.formats.shares import read_shares

_PROBES = ("pairs", "stereotypes", "ambiguity", "dialects", "names", "pronouns", "winobias", "winogender")
_PATHS = (
    "path",
    "weights",
    "train",
    "holdout",
    "metadata",
    "python_path",
    "canaries",
    "originals",
    "prompts",
    "folder",
    "confusion",
    "ca_file",
    "usage",
    *_PROBES,
)
"""Options of [model], [data] and extractors that name files: relative ones are relative to the spec, as is ``python_path`` in [[evaluators]]."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Where and how work is done; none of it changes a number."""

    executor: str = "pool"
    workers: int = 0
    device: str = "auto"
    time_limit: float = 3600.0
    address: str | None = None


RESERVED = ("name", "as", "features")
"""Keys of [[evaluators]] that are not parameters of an evaluator."""


@dataclass(frozen=True, slots=True)
class ExtractorSpec:
    """A feature extractor by name, and its options, which only some take."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluatorSpec:
    """One entry of [[evaluators]]: ``label`` is what its metrics begin with (``as``), ``extractors`` are its own, by role.

    Relative paths among its parameters are relative to ``base``.
    """

    name: str
    table: Table
    label: str = ""
    extractors: Mapping[str, ExtractorSpec] = field(default_factory=dict)
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
    extractors: Mapping[str, ExtractorSpec]
    evaluators: tuple[EvaluatorSpec, ...] | None
    policy: Policy
    run: RunSettings
    reference_models: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Adapter and options of each model that attacks compare the audited one with."""

    def only(self, names: tuple[str, ...]) -> AuditSpec:
        """Return the spec with no evaluators but the named ones."""
        known = {e.label or e.name: e for e in self.evaluators or ()}
        chosen = tuple(known.get(n, EvaluatorSpec(n, Table(f"--only {n}", {}))) for n in dict.fromkeys(names))
        return replace(self, evaluators=chosen)


def read_spec(path: Path) -> AuditSpec:
    """Read a spec file. Raise InputError on anything it may not say."""
    values = read_toml(path, "spec", "'audit run --help' shows an example.")
    try:
        return parse_spec(values, path.parent, path.stem)
    except InputError as error:
        raise type(error)(f"{printable(path)}: {error}") from error


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
    extractors = {} if features is None else _roles(features, base)
    listed = top.tables("evaluators")
    evaluators = None if listed is None else tuple(_evaluator(t, base) for t in listed)
    references = tuple(_model(t, base) for t in top.tables("reference_models") or ())
    policy = policy_of(top.table("policy"), base)
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
        references,
    )


def _resolved(options: dict[str, Any], base: Path) -> dict[str, Any]:
    return {key: _located(key, value, base) for key, value in options.items()}


def _located(name: str, value: Any, base: Path) -> Any:
    """Return an option with its paths made absolute; a list of prompts holds none."""
    if name not in _PATHS or (name == "prompts" and isinstance(value, list)):
        return value
    return _placed(value, base)


def _placed(value: Any, base: Path) -> Any:
    """Return a path made absolute, or each of a list of them; anything else as it is."""
    if isinstance(value, list):
        return [_placed(item, base) for item in value]
    return str(absolute(value, base)) if isinstance(value, str) else value


def _model(table: Table, base: Path) -> tuple[str, dict[str, Any]]:
    if "use" in table.values and "adapter" in table.values:
        raise InputError(
            f"[{table.where}] has both 'use' and 'adapter'. 'use' names an included model; choose one of them."
        )
    if "use" in table.values:
        return "included", {"use": table.text("use"), **_resolved(table.rest(), base)}
    if "adapter" not in table.values:
        raise InputError(
            f'[{table.where}] names no model. Write use = "digits-vae" for an included model, '
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


def _roles(table: Table, base: Path) -> dict[str, ExtractorSpec]:
    """Return the extractor of each role: its name, or a table with ``use`` and its options.

    ``use`` is another spelling of the role ``features``.
    """
    if "use" in table.values and "features" in table.values:
        raise InputError(
            f"{table.where} has both 'use' and 'features', which mean the same role. Keep one of them."
        )
    for key in table.values:
        if misplaced := belongs(key, f"[{table.where}]"):
            raise InputError(f"There is no key '{table.name(key)}'. {misplaced.rstrip()}")
    roles = {("features" if role == "use" else role): _role(table, role, base) for role in table.values}
    table.close()
    return roles


def _role(table: Table, role: str, base: Path) -> ExtractorSpec:
    if not isinstance(table.values[role], dict):
        return ExtractorSpec(table.text(role))
    own = table.table(role)
    assert own is not None
    return ExtractorSpec(own.text("use"), _resolved(own.rest(), base))


def _evaluator(table: Table, base: Path) -> EvaluatorSpec:
    if isinstance(folder := table.values.get("python_path"), str):
        table = replace(table, values={**table.values, "python_path": str(absolute(folder, base))})
    name, label = table.text("name", most=MOST_NAME), table.text("as", "", most=MOST_NAME)
    extractors: dict[str, ExtractorSpec] = {}
    if isinstance(table.values.get("features"), str):
        extractors = {"features": ExtractorSpec(table.text("features"))}
    elif (own := table.table("features")) is not None:
        extractors = _roles(own, base)
    if label:
        label = _full_label(table, label, name.partition(".")[0])
    if isinstance(shares := table.values.get("shares"), dict):
        place = Table(table.name("shares"), shares)
        path = absolute(place.text("file"), base)
        place.close()
        table = Table(table.where, {**table.values, "shares": read_shares(path)}, table.taken)
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
        address=table.text("address", "") or None,
    )
    if settings.time_limit <= 0:
        raise table.refuse("time_limit", "a number of seconds above 0")
    table.close()
    return settings
