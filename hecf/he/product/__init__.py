"""Plans of encrypted products ``A' B``: Gram blocks and scores.

::

    plan, planner     bounds, and the choice by bytes    packing    the (m, u, n) layout
    item_model        the plaintext operand of a score
"""
