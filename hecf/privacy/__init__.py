"""What may leave a key holder: the release gate and the release budget."""
