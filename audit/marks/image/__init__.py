"""Watermarks in pixels, put in after an image was made."""
