"""A run from the outside: attempts, receipts, hooks, logs, schedules.

Lives here: one execution and its attempts, receipts of finished work, hooks, logs in MLflow, work on a saved model;
schedule/ and serving/, which stay until they are stopped.
Does not: the order of stages (pipeline/flow.py).
May import: pipeline/stages/, pipeline/planning/, and below.
"""
