"""A record as one self-contained HTML file: nothing loaded from outside, nothing executed, every string escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

import jinja2
from markupsafe import Markup

from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from reports.curves import curve_figure
from reports.layers import COLUMNS
from reports.redact import MOST_CHARACTERS, shortened, visible
from reports.view import view

_MOST_SHOWN = MOST_CHARACTERS + 100
"""Characters of one string. Texts that are evidence are cut to ``MOST_CHARACTERS`` before, and say so at their end."""


class HtmlReport:
    """Renders a record as HTML for reading, printing and sending."""

    media_type: ClassVar[str] = "text/html"
    suffix: ClassVar[str] = ".html"

    def render(self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False) -> bytes:
        """Return the report. Pure: same record, evidence and library versions, same bytes.

        Sensitive evidence is neither read nor written unless ``show_sensitive``.
        The content-security policy allows the one style element by its hash and
        images that are in the file itself, and nothing else.
        """
        style = stylesheet()
        page = _template().render(
            view=view(record, evidence, show_sensitive=show_sensitive),
            style=Markup(style),  # noqa: S704 - our own file
            policy=security_policy(style),
            show_sensitive=show_sensitive,
            columns=COLUMNS,
        )
        return page.encode("utf-8")


def stylesheet() -> str:
    """Return the report's style sheet."""
    return files("reports").joinpath("templates/report.css").read_text(encoding="utf-8")


def security_policy(style: str) -> str:
    """Return the content-security policy of a page whose only style element holds ``style``."""
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    environment.filters["curve_figure"] = curve_figure
    return environment.get_template("report.html.j2")


def breakable(name: str) -> Markup:
    """Return a dotted name that may wrap after its dots and underscores.

    >>> str(breakable("quality.bits_per<b>"))
    'quality.<wbr>bits_<wbr>per&lt;b&gt;'
    """
    parts = re.split(r"(?<=[._/])", visible(name))
    return Markup("<wbr>").join(part for part in parts if part)


def _shown(value: Any) -> Any:
    """Make control characters visible in every string the template prints, and bound its length; markup is already clean."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(shortened(value, _MOST_SHOWN))
