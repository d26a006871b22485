"""What of an audit failed, in the words that every format uses."""

from __future__ import annotations

from audit.core.records import RecordedFailure


def failed(failure: RecordedFailure) -> str:
    """Return what failed and why, without a full stop."""
    return f"{failure.what}, shard {failure.shard}, failed: {failure.error}"


def without(failure: RecordedFailure) -> str:
    """Name the evaluators that have no result because of it; empty where none lacks one."""
    return f"Without a result because of it: {', '.join(failure.evaluators)}." if failure.evaluators else ""
