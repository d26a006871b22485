"""What is missing, where it runs, in which order."""
