"""Probe sets in files: what their authors distribute, read as it is, one kind a module."""
