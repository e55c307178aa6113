"""Hands: asyncio, processes, pipes, files. No policy."""
