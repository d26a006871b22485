"""The entry of the dashboard: ``streamlit run dashboards/app.py -- --store FOLDER``."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboards import gate, served, widgets

VIEWS = Path(__file__).parent / "views"


def main() -> None:
    """Show the page that the browser's address names."""
    st.set_page_config(page_title="Audits", page_icon=widgets.favicon(), layout="wide")
    gate.pass_or_stop()
    st.navigation(
        [
            st.Page(VIEWS / "overview.py", title="Overview", icon=":material/list:", default=True),
            st.Page(VIEWS / "run.py", title="Run", icon=":material/fact_check:", url_path="run"),
            st.Page(
                VIEWS / "samples.py", title="Samples", icon=":material/photo_library:", url_path="samples"
            ),
            st.Page(VIEWS / "groups.py", title="Groups", icon=":material/groups:", url_path="groups"),
            st.Page(
                VIEWS / "start.py", title="Start an audit", icon=":material/play_circle:", url_path="start"
            ),
            st.Page(VIEWS / "review.py", title="Review", icon=":material/rate_review:", url_path="review"),
            st.Page(
                VIEWS / "compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"
            ),
            st.Page(VIEWS / "risks.py", title="Risks", icon=":material/privacy_tip:", url_path="risks"),
            st.Page(
                VIEWS / "frameworks.py", title="Frameworks", icon=":material/gavel:", url_path="frameworks"
            ),
            st.Page(VIEWS / "latent.py", title="Latent space", icon=":material/tune:", url_path="latent"),
        ],
        position="top",
    ).run()
    served.settle()


if __name__ == "__main__":
    main()
