"""Models of the engine in Promela, small enough for Spin to look at every order in which things can happen.

A model follows our code and names the functions that it stands for; who changes one of them changes the model. Its head lists
its variants: ours, which must hold, and broken ones, which Spin must refute. A model that refutes nothing proves nothing.
"""
