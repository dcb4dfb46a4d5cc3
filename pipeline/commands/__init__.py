"""Commands of `funkflow`: their options and output.

Lives here: the table of names, shared options, the commands.
Does not: the work (pipeline/flow.py and below), exit codes (pipeline/cli.py).
May import: all of pipeline/ but pipeline/cli.py.
"""
