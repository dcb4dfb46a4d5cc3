"""Settings: every key with its default, checked before anything starts.

Lives here: the sections, the methods and their names, presets, overrides, dates in paths.
Does not: the use of a setting.
May import: tasks/.
"""
