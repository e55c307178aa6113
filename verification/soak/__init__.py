"""The soak: one program that runs for a long time while something breaks every few seconds, and may neither err nor grow."""
