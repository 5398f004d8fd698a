"""The configuration: one typed schema, its sources, its rules."""
