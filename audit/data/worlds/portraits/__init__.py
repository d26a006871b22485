"""The world of portraits: drawn people with every factor recorded."""
