"""The names of effects of time.

Covers: the names, as settings and manifests have them. Does not cover: the effects (tasks/training/times/).
"""

DAYS, DRIFT, BINS = "user_days", "drift", "item_bins"
EFFECTS = (DAYS, DRIFT, BINS)
"""All of them, in the order in which they are drawn."""
