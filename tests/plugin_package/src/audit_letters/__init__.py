"""A small package of plugins, as a third party would write it."""
