"""Making a coalition: configuration, the kits of its parties, certificates, their renewal."""
