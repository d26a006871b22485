"""The networks of the included models, one family per folder."""
