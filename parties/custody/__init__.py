"""What the key holder keeps: its secret key by epochs, and the ledger of its releases."""
