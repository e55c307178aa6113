"""What we ask of the engine when things go wrong, in figures, and what came of it."""
