"""Clusters that ship: files only. Covers: data. Does not cover: reading it (pipeline/settings/presets.py)."""
