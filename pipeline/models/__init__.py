"""Saved models on a cluster: graphs over their parts, and where they come from.

Lives here: the canonical form, scores and products by parts, lazy arrays, start models, the ratings trained on.
Does not: one process with a whole model (tasks/model/).
May import: pipeline/cluster/, pipeline/planning/, pipeline/root/, tasks/.
"""
