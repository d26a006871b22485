"""The world of biographies: short texts about invented people, with canaries at known doses."""
