"""The commands about the machine: how an engine does, and what it would need."""
