"""The format of a file: delimiter, quoting, header, columns and the types of their values.

Lives here: guesses from the first lines, the form they give, where records begin and end.
Does not: converting rows (rows/).
May import: sources/ and tasks/storage/.
"""
