"""Proof that stores keep what they have acknowledged: a disk that fails at each call, a program that is killed, a power cut.

    python -m verification.crash --rounds 1000     kill programs in mid-write, cut the power, and have each call fail

The one idea: a store is judged by what it said. Whatever it acknowledged has to be there, in order and whole; whatever it
refused has to be told; and nobody looks into how it does that.
"""
