"""The resources, one file for each kind."""
