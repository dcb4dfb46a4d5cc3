"""The methods of training: for each its loop, and the graph of its tasks.

Lives here: sgd, als, batch, funk and the standard methods of the SVD.
Does not: what methods share (pipeline/training/), the arithmetic of a task (tasks/training/).
May import: pipeline/training/ and all below it.
"""
