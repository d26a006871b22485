"""The Streamlit dashboard. Reads records; computes nothing."""
