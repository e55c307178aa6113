"""Targets for a fuzzer: from bytes that nobody meant, by the roads of the engine, to oracles that say more than "no crash".

Each target is a module with one function, ``one(data)``, which raises if anything is not as it must be. The tests run it too,
over the corpus and over bytes of chance; ``python -m verification.fuzz`` runs it under atheris, which looks for new ways in.
"""
