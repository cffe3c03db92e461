"""Encrypted similarity ``A B'`` of two matrices by rows, in the bivariate form.

::

    plan, planner     bounds, parameters and scales         matrices    words, bytes, tiles
    encryptor         rows under a secret or public key   evaluator   tiles, within a memory limit
    zeros             fresh encryptions of zero that conceal a result
    decryptor, ring   negacyclic products by the secret     scores      full matrix, or the best n
"""
