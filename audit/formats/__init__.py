"""Readers of files that somebody else made: folders, images, texts. What cannot be read is refused with a reason."""
