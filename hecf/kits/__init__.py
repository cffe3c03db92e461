"""A party's kit: its configuration, the coalition's terms, its TLS identity, its way to others."""
