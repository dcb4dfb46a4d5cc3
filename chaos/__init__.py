"""Injected faults: runs that are struck at a chosen moment, and must end with the factors of a run that was not."""
