"""Paillier encryption of packed fixed-point numbers: exact sums, and products with clear operands.

The ciphertexts are ordinary Paillier ciphertexts, which every implementation of the scheme opens.
What makes them affordable is that one of them carries about a hundred numbers, that its randomness
comes from a table of powers of one base, and that decryption works modulo the two prime squares.
"""
