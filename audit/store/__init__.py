"""Where facts and bytes are kept."""
