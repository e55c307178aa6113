"""Rules: pure state machines and decisions. No clock, no task, no file, no randomness."""
