"""The cluster: opening or joining one, and watching its workers.

Lives here: local clusters and presets, TLS, Dask's settings, lost and paused workers, memory, the context of stages.
Does not: which tasks run (pipeline/stages/, pipeline/training/).
May import: pipeline/planning/, pipeline/root/, pipeline/progress/, pipeline/settings/, tasks/.
"""
