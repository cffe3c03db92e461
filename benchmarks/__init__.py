"""What the encryption costs: one module per operation, each beside its baselines in one run."""
