"""Attacks on what a coalition shows, each beside what it would achieve without the protection.

An attack that fails says something only if it can succeed. So every experiment mounts its attack
twice, on the unprotected path and on the released one, and an outcome carries both figures.
"""

from hecf.privacy.attacks.outcome import Outcome, area_under_curve

__all__ = ["Outcome", "area_under_curve"]
