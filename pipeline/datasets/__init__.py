"""Datasets across runs: known inputs, the parent of an incremental dataset, erased ids.

Lives here: hashes of input files, the graph that reads raw rows, the choice of a parent, traces of erased ids.
Does not: the stages that use them (pipeline/stages/).
May import: pipeline/cluster/, pipeline/root/, tasks/.
"""
