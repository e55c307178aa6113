"""Mutation testing of the core: each small error that can be put into the code has to make a test fail."""
