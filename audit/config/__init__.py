"""From a spec file to a plan: everything is checked before anything runs."""
