"""What is fitted: data and parameter containers, priors, transitions."""
