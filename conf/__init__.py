"""The settings files that ship with funkflow; numbers only, read by pipeline/settings/sections.py."""
