"""Whole coalitions on this machine, and their clear twins to compare with."""
