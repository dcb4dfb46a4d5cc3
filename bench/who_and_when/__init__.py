"""Draws from the posterior beside those of myFM with the same features: who rated what, and when.

Lives here: the parts of the ablation, the features as matrices, ours and myFM on one split, and the table.
Does not: the program that runs myFM (bench/peers/myfm_gibbs.py).
"""
