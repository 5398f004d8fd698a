"""The standalone server: a configuration becomes a node behind listeners."""
