"""Shipped settings files, without code; pipeline/settings/presets.py reads them."""
