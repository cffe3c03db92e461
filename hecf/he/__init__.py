"""Encrypted linear algebra: parameters, packing, planning, evaluation, encryption, decryption.

The evaluator side (:mod:`hecf.he.evaluator` and what it imports) needs NumPy only and never a
secret. The key side (:mod:`hecf.he.ckks`) reaches SEAL through one module, :mod:`hecf.he.seal`.
Arithmetic uses all processors unless :mod:`hecf.threads` says otherwise.
"""

from hecf.threads import limit_threads_from_environment

limit_threads_from_environment()
