"""Documents made from audit records. Reads records; computes nothing."""
