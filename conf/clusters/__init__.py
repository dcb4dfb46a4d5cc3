"""Clusters that ship: files only. Covers: nothing by itself. Does not cover: reading them (pipeline/presets.py)."""
