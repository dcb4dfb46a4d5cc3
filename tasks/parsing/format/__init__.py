"""The format of a file: delimiter, quoting, header, columns and the types of their values.

Lives here: guesses from the first lines, the resulting form, the bounds of records.
Does not: converting rows (rows/).
May import: sources/ and tasks/storage/.
"""
