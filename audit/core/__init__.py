"""Values and contracts: what an audit talks about, with no knowledge of how it runs."""
