"""Recommendations beside rivals, on real sets and one made here.

Lives here: the sets with their splits, the one evaluator of all contestants, and rivals in NumPy.
Does not: the rows of the table (bench/sections/ranking.py), rivals from packages (bench/peers/).
"""
