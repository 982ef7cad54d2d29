"""Recipes: one TOML per deployable engine. What `edgeseg convert` builds lands here too, and git ignores it."""
