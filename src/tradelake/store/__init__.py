"""Current transactions: what is true of each trade now."""
