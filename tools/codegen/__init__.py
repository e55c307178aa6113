"""Turns what a codex binary says about its own protocol into the typed Python of ``codex_runtime.protocol``.

Four steps, one file each: ``load`` asks the binary and pins the facts, ``model`` decides names, homes and unions,
``emit`` writes Python text, ``diff`` compares two sets of facts. Only ``load`` and ``__main__`` touch files.
"""
