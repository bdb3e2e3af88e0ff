"""Which runs an experiment needs, together or apart, and doing them."""
