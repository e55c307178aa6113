"""Proof that the engine holds: faults on command, models, fuzzing, soak and mutation, each a program that can be run alone."""
