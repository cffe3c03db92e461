"""What may leave a key holder: the release gate, its policy and the ledger."""
