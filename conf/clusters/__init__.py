"""Shipped cluster files, without code. Covers: data. Does not cover: reading them (pipeline/settings/presets.py)."""
