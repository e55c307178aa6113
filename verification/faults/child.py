"""Scenarios of the server's process: it dies, hangs, lies about its end, or leaves others behind."""

from __future__ import annotations

from verification.faults.scenario import Scenario

__all__ = ["CHILD"]

CHILD: tuple[Scenario, ...] = (
    Scenario(
        fault="P1", point="killed after its first words", arrange=lambda fake: fake.die_at("item/agentMessage/delta")
    ),
)
