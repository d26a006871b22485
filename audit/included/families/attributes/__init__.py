"""Reads the factors of portraits: the network behind two feature extractors."""
