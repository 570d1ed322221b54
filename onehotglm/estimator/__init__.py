"""What the user holds: the estimator, its input checks and its outputs."""
