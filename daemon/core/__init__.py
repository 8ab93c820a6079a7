"""Pure rules and values: no clock, chance, network, database or log."""
