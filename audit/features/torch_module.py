"""An attribute classifier of the user's own: a Python factory with safetensors weights, as for a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import canonical, digest_of
from audit.core.options import OptionTable
from audit.core.references import Attribute, ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rows
from audit.features.labels import values_of
from audit.formats.labels import read_confusion
from audit.registry import catalogue

_OPTIONS = ("factory", "weights", "python_path", "files", "modality", "values", "confusion")
_OFF = 1e-3
"""Probabilities of one attribute add up to 1 within this."""


class TorchClassifier:
    """The probabilities that ``encode`` of a model of the adapter ``torch_module`` returns: a column for each value of each attribute.

    ``values = ["look=feminine, masculine"]`` names the columns in order; ``confusion`` is a CSV file that says how labelled examples were read
    (attribute, true, read, count), without which nothing is corrected. The other options are those of the adapter. A row of NaN, or of zeros,
    abstains: there is no reading.
    """

    def __init__(self, ref: ExtractorRef, model: Any) -> None:
        self._ref, self._model = ref, model

    @classmethod
    def refer(cls, options: Mapping[str, Any] | None = None) -> ExtractorRef:
        table = OptionTable.of("the extractor 'torch_module'", options or {}, _OPTIONS)
        if not options:
            raise InputError(
                "The extractor 'torch_module' needs a factory. Write in the spec: [features] attributes = { use = "
                '"torch_module", factory = "module:callable", weights = "classifier.safetensors", values = ["look=feminine, masculine"] }.'
            )
        values = values_of(table, "values")
        if not values:
            raise InputError(
                "The extractor 'torch_module' needs the option 'values', such as [\"look=feminine, masculine\"]: what its columns are."
            )
        counts = table.path("confusion")
        confusion = {} if counts is None else read_confusion(counts, values)
        adapter = catalogue("models").load("torch_module")
        model = adapter.refer({k: v for k, v in (options or {}).items() if k not in ("values", "confusion")})
        card, offers = adapter.describe(model)
        if Capability.ENCODE not in offers:
            raise InputError(
                f"The factory '{table.text('factory')}' makes a class without 'encode'. An attribute classifier has encode(self, rows), "
                "which returns an array with a row of probabilities for each row."
            )
        attributes = tuple(Attribute(name, kinds, confusion.get(name, ())) for name, kinds in values.items())
        named = {"model": model, "attributes": attributes}
        return ExtractorRef(
            "torch_module",
            digest_of(canonical(named)),
            sum(len(kinds) for kinds in values.values()),
            card.modality,
            attributes,
            location=json.dumps(asdict(model)),
        )

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> TorchClassifier:
        held = json.loads(ref.location)
        model = ModelRef(**{**held, "options": tuple((name, value) for name, value in held["options"])})
        if digest_of(canonical({"model": model, "attributes": ref.attributes})) != ref.digest:
            raise InputError("The classifier has changed since the audit was planned. Plan it again.")
        return cls(ref, catalogue("models").load("torch_module").open(model, device))

    def extract(self, rows: Rows) -> Matrix:
        """Return probabilities, zeros where the classifier abstains. Raise ValueError for what are none."""
        found = np.asarray(self._model.encode(rows), dtype=np.float64)
        shape = (rows.num_rows, self._ref.dimensions)
        if found.shape != shape:
            raise ValueError(f"the classifier returned shape {found.shape}; {shape} was expected")
        ends = np.cumsum([0, *(len(a.values) for a in self._ref.attributes)])
        for (start, stop), attribute in zip(pairwise(ends), self._ref.attributes, strict=True):
            part = found[:, start:stop]
            part[~np.isfinite(part).all(axis=1)] = 0.0
            read = part.any(axis=1)
            if (part < -_OFF).any() or (np.abs(part[read].sum(axis=1) - 1) > _OFF).any():
                raise ValueError(
                    f"what the classifier returned for '{attribute.name}' are no probabilities: they are negative or do not add up to 1"
                )
        return found
