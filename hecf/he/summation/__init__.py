"""Exact encrypted sums of fixed-point vectors, several values to a coefficient.

::

    plan, planner     bounds, layout, and the choice by bytes
    digits            reading sums out of residues        addition   what the node does
"""
