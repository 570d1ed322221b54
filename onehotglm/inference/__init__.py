"""How it is fitted: initial values, EM, restarts."""
