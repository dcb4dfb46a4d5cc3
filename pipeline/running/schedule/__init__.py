"""Schedules: runs at given times, retries, and runs for past dates.

Lives here: cron expressions, the daemon, the child process of a run, backfill.
Does not: the run itself (pipeline/flow.py).
May import: tasks/ for its errors.
"""
