"""Stages: one file for each box of the dataflow but training; no stage imports another.

Lives here: ingest, split, grid, baseline, evaluate, export, gate, spectrum, recommend, report, and their graphs.
Does not: their order (pipeline/flow.py), training (pipeline/training/).
May import: pipeline/training/, pipeline/models/, pipeline/datasets/, pipeline/results/report/, and below.
"""
