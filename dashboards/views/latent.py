"""Latent space: sliders over the code of an included model, and the way between two examples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from audit.core.errors import InputError
from audit.core.rows import Images
from audit.core.words import counted
from dashboards import addressed, latent
from dashboards.latent import Opened
from dashboards.thumbnails import thumbnail
from dashboards.widgets import plain
from reports.redact import visible

_STEPS = 9
_FARTHEST = 3.0
_DIRECTIONS = ("principal directions", "single units")
_SAMPLES, _HELD_OUT = "samples of the model", "held-out examples"
_MOST_NUMBER = 99


def show() -> None:
    """Show the page."""
    st.title("Latent space")
    models = latent.offered()
    usable = [name for name, lacking in models.items() if not lacking]
    name = _picked(models, usable)
    try:
        held = latent.opened(name, latent.weights(name))
    except InputError as error:
        st.error("This model cannot be opened here.", icon=":material/error:")
        st.text(visible(str(error)))
        _without(models)
        st.stop()
    st.caption(
        plain(
            f"{name}: a code of {counted(held.codes.shape[1], 'number')}. Opened once for all who look; nothing is stored.",
            300,
        )
    )
    sliders, ways = st.tabs(("Sliders", "Between two examples"))
    with sliders:
        _sliders(held)
    with ways:
        _ways(held)
    _without(models)


def _picked(models: Mapping[str, str], usable: list[str]) -> str:
    """Return the model that the address names, else the first that has a code; the choice goes into the address."""
    wanted = addressed.follow("model", usable, "model")
    if wanted and wanted not in models:
        st.warning("There is no included model of that name; the first is shown.", icon=":material/link_off:")
    elif models.get(wanted):
        st.warning(plain(f"{wanted}: {models[wanted]}.", 400), icon=":material/block:")
    if not usable:
        st.info("No included model with a code is installed.", icon=":material/extension_off:")
        _without(models)
        st.stop()
    name = st.selectbox("Included model", usable, key="model")
    addressed.keep("model", name, "model")
    return name


def _without(models: Mapping[str, str]) -> None:
    lacking = {name: reason for name, reason in models.items() if reason}
    if lacking:
        with st.expander(f"Included models that cannot be shown here: {len(lacking)}"):
            for name, reason in lacking.items():
                st.text(visible(f"{name}: {reason}."))


@st.fragment
def _sliders(held: Opened) -> None:
    picture, controls = st.columns([1, 2])
    with controls:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            along = st.segmented_control(
                "Move along", _DIRECTIONS, default=_DIRECTIONS[0], required=True, key=f"along-{held.name}"
            )
            number = st.number_input(
                "Begin at sample", 0, _MOST_NUMBER, 0, key=f"begin-{held.name}", width=140
            )
        principal = along == _DIRECTIONS[0]
        directions = held.principal if principal else held.units
        st.caption(
            "In standard deviations. Principal directions are those along which the model's pictures change most."
            if principal
            else "In standard deviations. The units that the model's pictures follow most come first."
        )
        steps = [
            st.slider(
                f"{place + 1}. direction, {held.shares[place]:.0%} of what changes"
                if principal
                else held.names[place],
                -_FARTHEST,
                _FARTHEST,
                0.0,
                0.1,
                key=f"slider-{held.name}-{along}-{place}",
            )
            for place in range(len(directions))
        ]
        st.button(
            "Back to the middle",
            icon=":material/restart_alt:",
            on_click=_reset,
            args=(held.name,),
            key=f"reset-{held.name}",
        )
    with picture:
        code = latent.sample_code(held, int(number))
        moved = code + np.asarray(steps) @ directions
        before, after = held.pictures(np.concatenate([code, moved]))
        _picture(after, f"Sample {number}, moved", 256, words="moved")
        _picture(before, f"Sample {number}, before", 96, words="before")


def _reset(name: str) -> None:
    for key in list(st.session_state):
        if str(key).startswith(f"slider-{name}-"):
            st.session_state[key] = 0.0


@st.fragment
def _ways(held: Opened) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        sources = [_SAMPLES, _HELD_OUT] if held.encodes else [_SAMPLES]
        source = st.segmented_control(
            "Between", sources, default=_SAMPLES, required=True, key=f"source-{held.name}"
        )
        first = st.number_input("First", 0, _MOST_NUMBER, 0, key=f"first-{held.name}", width=120)
        last = st.number_input("Last", 0, _MOST_NUMBER, 1, key=f"last-{held.name}", width=120)
    coded = latent.held_out_code if source == _HELD_OUT else latent.sample_code
    try:
        begin, end = coded(held, int(first)), coded(held, int(last))
    except InputError as error:
        st.error("The data of this model are not here.", icon=":material/database_off:")
        st.text(visible(str(error)))
        return
    if source == _HELD_OUT:
        st.caption("Each end is what the model makes of the code of the example, not the example itself.")
    for way in latent.WAYS:
        st.markdown(f"**{way.capitalize()}**")
        pictures = held.pictures(latent.between(begin, end, _STEPS, way))
        with st.container(horizontal=True, gap="small", key=f"way-{way}-{held.name}"):
            for place, picture in enumerate(pictures):
                _picture(picture, f"{way}, {place} of {_STEPS - 1} steps from {first} to {last}", 96)


def _picture(pixels: Images, alt: str, width: int, words: str = "") -> None:
    st.image(thumbnail(pixels, width), caption=words or None, alt=alt, width=width, output_format="PNG")


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
