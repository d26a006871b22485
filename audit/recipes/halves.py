"""Half of what another recipe made, every other row: for null cases that compare one half with the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from audit.core.recipes import Context, Recipe


@dataclass(frozen=True)
class Half(Recipe[Any]):
    """Rows ``which``, ``which`` + 2, … of each shard; what a shard holds must be sliced like an array."""

    kind: ClassVar[str] = "half"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Any]
    which: int

    @property
    def value(self) -> Any:
        return self.source.value

    @property
    def label(self) -> str:
        return f"half of {self.source.label}"

    def examples(self, shard: int) -> int:
        return (self.source.examples(shard) + 1 - self.which) // 2

    def make(self, context: Context, source: Any) -> Any:
        return source[self.which :: 2]
