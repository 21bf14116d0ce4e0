"""The search: a declarative space, a study that is the truth, and trials on Ray."""
