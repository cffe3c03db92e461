"""Ciphertexts that SEAL's own evaluator takes: an oracle for what a node computes."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi

from hecf.he.seal import SealContext, _load


def seal_ciphertext(context: SealContext, words: np.ndarray) -> Any:
    """A SEAL ciphertext of words (components, L, N), through hecf's own composition."""
    identifier = struct.pack("<4Q", *context.level_identifier(words.shape[1]))
    composed = context._compose(identifier + b"\x01", words.astype(np.uint64), scale=1.0)
    ciphertext = sealapi.Ciphertext()
    _load(lambda path: ciphertext.load(context._context, path), composed)
    return ciphertext
