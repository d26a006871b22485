"""Models that another program serves over HTTP: what is asked, how, and what of the answers is believed."""
