"""Planning: sizes, memory, disk and time of a run before it starts.

Lives here: the budget, the memory of each method, the plan and its tables, the cost model and its calibration.
Does not: opening clusters (pipeline/cluster/).
May import: pipeline/settings/, pipeline/root/, tasks/.
"""
