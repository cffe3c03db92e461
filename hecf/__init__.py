"""hecf: homomorphic encryption for collaborative filtering between companies."""

__version__ = "0.1.0"
