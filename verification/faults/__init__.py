"""What may go wrong, done on command, and what must hold all the same: one catalogue, one judge, any client."""
