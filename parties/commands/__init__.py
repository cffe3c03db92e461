"""The commands of ``hecf``, one topic a module."""
