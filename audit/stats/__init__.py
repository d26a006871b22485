"""Pure numerics: numpy and scipy, no input or output."""
