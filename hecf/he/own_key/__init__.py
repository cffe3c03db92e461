"""Scores under a retailer's own key: whoever asks is the only one who can decrypt.

::

    plan, planner     layouts, bounds, parameters       messages   queries, answers, strict parser
    client            encrypts and decrypts             node       an item matrix and no key
"""
