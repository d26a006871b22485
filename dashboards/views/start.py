"""Start an audit: choose, see the plan with its cost, start it, watch it, stop and resume it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from audit.cli.plan import cost_in_words, judged_in_words
from audit.config.limits import MOST_SAMPLES
from audit.core.errors import InputError
from audit.core.words import counted
from audit.store.location import StoreAddress
from dashboards import access, choices, queries, started, widgets
from dashboards.choices import Choice
from dashboards.started import Started, State
from dashboards.widgets import Colour, plain
from reports import numbers
from reports.redact import shortened, visible

_SECONDS = 2.0  # between two looks at audits that run; a string here would be shown on the page
_MODEL, _SPEC = "An included model", "A spec file"
_OWN = "the model's own"
_BADGES: Mapping[State, tuple[Colour, str]] = {
    State.RUNNING: ("blue", ":material/play_circle:"),
    State.STOPPING: ("orange", ":material/hourglass_top:"),
    State.FINISHED: ("green", ":material/check_circle:"),
    State.STOPPED: ("gray", ":material/pause_circle:"),
    State.FAILED: ("red", ":material/error:"),
}


def show() -> None:
    """Show the page."""
    st.title("Start an audit")
    address = queries.asked_for()
    if reason := access.may_not_start(address):
        st.info(plain(reason), icon=":material/lock:")
        st.code("audit run audit.toml", language="shell", wrap_lines=True)
        return
    choice = _choice()
    if choice is not None:
        _plan(address, choice)
    _audits(address)


def _choice() -> Choice | None:
    """Let a person choose what to audit; None where there is nothing to choose yet."""
    what = st.segmented_control("What to audit", (_MODEL, _SPEC), default=_MODEL, required=True, key="what")
    left, right = st.columns(2)
    if what == _SPEC:
        offered = list(choices.specs())
        if not offered:
            st.info(
                "The folder that this dashboard was started in holds no spec: a TOML file with [model].",
                icon=":material/folder_off:",
            )
            return None
        spec = left.selectbox("Spec", offered, format_func=_shown, key="spec")
        own = right.number_input(
            "Number of samples",
            1,
            MOST_SAMPLES,
            None,
            placeholder="as the spec says",
            key="spec-samples",
        )
        st.caption("The data and the policy are those that the spec names.")
        return Choice(spec=spec, samples=own)
    model = left.selectbox("Model", choices.models(), format_func=_shown, key="model")
    data = right.selectbox(
        "Data",
        ["", *choices.datasets()],
        format_func=lambda name: _shown(name) if name else _OWN,
        key="data",
        help="Data that need a path or an option are named in a spec.",
    )
    left, right = st.columns(2)  # a row of its own, so that a narrow screen keeps the order
    policy = left.selectbox("Policy", choices.policies(), format_func=_shown, key="policy")
    samples = right.number_input(
        "Number of samples", 1, MOST_SAMPLES, choices.USUAL_SAMPLES, step=100, key="samples"
    )
    name = st.text_input("What to call it", max_chars=120, placeholder=visible(model), key="audit-name")
    return Choice(model=model, data=data, policy=policy, samples=samples, name=name.strip())


def _shown(name: str) -> str:
    return shortened(visible(name), 120)


def _plan(address: StoreAddress, choice: Choice) -> None:
    """Show what the audit would do, and let a person start it once they have seen that."""
    if st.button("Show the plan", icon=":material/checklist:", key="plan"):
        with st.spinner("Planning; the model is described in a process of its own"):
            try:
                st.session_state["planned"] = (choice, choices.planned(address, choice), "")
            except InputError as error:
                st.session_state["planned"] = (choice, None, str(error))
    known, found, why = st.session_state.get("planned", (None, None, ""))
    if known != choice:
        st.caption(
            "The plan says what will run, what is skipped and why, and what it takes. Nothing is loaded for it."
        )
        return
    if found is None:
        st.error("There is no such audit.", icon=":material/error:")
        st.text(visible(shortened(why, 2_000)))
        return
    _planned(found)
    if st.button("Start the audit", icon=":material/play_arrow:", key="start"):
        try:
            started.start(address, choice)
        except InputError as error:
            st.error(plain(str(error), 1_000), icon=":material/error:")
        else:
            st.session_state.pop("planned")
            st.rerun()


def _planned(found: Mapping[str, Any]) -> None:
    with st.container(border=True):
        st.subheader("The plan")
        missing = sum(a["shards"] - a["made"] for a in found["artifacts"])
        here = sum(a["made"] for a in found["artifacts"])
        cost = cost_in_words(found["cost"])
        said = f"{counted(missing, 'shard')} to make{cost}; {numbers.count(here)} are here already."
        if not cost:
            said += " No earlier run of these weights says how long that takes."
        st.markdown(plain(said, 600))
        model, data = found["model"], found["data"]
        size = f", {numbers.count(model['parameters'])} parameters" if model["parameters"] else ""
        st.caption(
            plain(
                f"{model['family']} of {model['modality']}{size}, on "
                f"{data['loader']}: {', '.join(f'{name} {rows:,}' for name, rows in data['splits'].items())}. "
                f"{judged_in_words(found['criteria']).capitalize()} to judge.",
                1_000,
            )
        )
        dimensions: dict[str, list[str]] = {}
        for evaluator in found["evaluators"]:
            dimension, _, rest = evaluator["name"].partition(".")
            dimensions.setdefault(dimension, []).append(rest)
        for dimension, names in dimensions.items():
            st.markdown(f"**{plain(dimension.capitalize())}**: {plain(', '.join(names), 2_000)}")
        with st.expander(f"What each of them asks: {len(found['evaluators'])}"):
            for e in found["evaluators"]:
                st.markdown(f"- **{plain(e['name'])}**: {plain(' '.join(e['questions']), 1_000)}")
        with st.expander(f"Skipped, and why: {len(found['skipped'])}"):
            for s in found["skipped"]:
                gaps = "; ".join(f"needs {u['need']}, found {u['found']}: {u['remedy']}" for u in s["unmet"])
                st.markdown(f"- **{plain(s['evaluator'])}** {plain(gaps, 1_000)}")
        small = [
            f["said"] for f in found["preflight"] if not (f["passes_clean"] and f["fails_from"] is not None)
        ]
        for said in [*data["problems"], *small, *found["comparable"]]:
            st.text(visible(shortened(said, 600)))


def _audits(address: StoreAddress) -> None:
    known = started.every(address)
    if not known:
        return
    st.subheader("Started here")
    st.caption("An audit continues when you leave this page, close the browser or end the dashboard.")
    alive = any(one.state in started.ALIVE for one in known)
    st.fragment(_list, run_every=_SECONDS if alive else None)(address, alive)


def _list(address: StoreAddress, alive: bool) -> None:
    known = started.every(address)
    for one in known:
        _audit(address, one)
    if alive and not any(one.state in started.ALIVE for one in known):
        st.rerun()  # nothing is left to be watched


def _audit(address: StoreAddress, one: Started) -> None:
    with st.container(border=True, key=f"audit-{one.id}"):
        colour, icon = _BADGES[one.state]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(one.choice.title, 120)}**", width="content")
            st.badge(one.state.value, icon=icon, color=colour)
            if one.verdict:
                widgets.badge(one.verdict)
        st.caption(plain(_facts(one), 600))
        if one.state in started.ALIVE:
            st.progress(one.share, text=plain(_progress(one), 200))
        if one.message:
            st.error(plain(one.message, 1_200), icon=":material/error:")
        _buttons(address, one)
        with st.expander("What it printed"):
            st.code(visible(one.output) or "Nothing yet.", language=None, wrap_lines=True)


def _facts(one: Started) -> str:
    c = one.choice
    what = f"spec {c.spec}" if c.spec else f"model {c.model}, data {c.data or _OWN}, policy {c.policy}"
    samples = f", {counted(c.samples, 'sample')}" if c.samples else ""
    again = f", resumed {counted(one.times - 1, 'time')}" if one.times > 1 else ""
    return (
        f"{what}{samples}; started {numbers.moment(one.began)}{again}{f'; run {one.run}' if one.run else ''}"
    )


def _progress(one: Started) -> str:
    if one.state is State.STOPPING:
        return "Stopping: what was made is kept"
    if not one.run:
        return "Planning"
    return f"{one.made:,} of {one.total:,} shards{f': {one.doing}' if one.doing else ''}"


def _buttons(address: StoreAddress, one: Started) -> None:
    with st.container(horizontal=True):
        if one.state is State.RUNNING and st.button("Stop", icon=":material/stop:", key=f"stop-{one.id}"):
            _done(lambda: started.stop(address, one.id))
        if one.state in (State.STOPPED, State.FAILED) and st.button(
            "Resume", icon=":material/replay:", key=f"resume-{one.id}"
        ):
            _done(lambda: started.resume(address, one.id))
        if one.state is State.FINISHED:
            st.page_link(
                "views/run.py",
                label="Open the run",
                icon=":material/fact_check:",
                query_params={"run": one.run},
            )
            st.page_link(
                "views/review.py",
                label="Review it",
                icon=":material/rate_review:",
                query_params={"run": one.run},
            )


def _done(act: Any) -> None:
    """Do what a button asks for, and show the page anew; say why where it cannot be done."""
    try:
        act()
    except InputError as error:
        st.error(plain(str(error), 1_000), icon=":material/error:")
    else:
        st.rerun()


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
