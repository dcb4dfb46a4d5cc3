"""The posterior of a factorisation: draws of rows by perturbed solves, their priors, and what is kept of them.

Lives here: the tasks of a sweep of Gibbs sampling, the mean of predictions, the compact model of many draws.
Does not: the solves themselves (tasks/grid/, tasks/training/als.py), the graph of a sweep (pipeline/training/methods/).
May import: tasks/training/, tasks/grid/, tasks/model/, tasks/kernels/, tasks/storage/.
"""
