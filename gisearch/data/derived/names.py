"""The names of derived networks and features, and the keys of the configuration that ask for them."""

from __future__ import annotations

NEGATIVE, POSITIVE = "derived_negative", "derived_positive"
TRIPLES = "derived_triples"
PROFILE, SMOOTHED_PROFILE = "derived_profile", "derived_smoothed_profile"
PROFILE_FEATURES = "derived_profile_features"

# What to set for each.
SWITCHES = {
    NEGATIVE: "derived.negative=true",
    POSITIVE: "derived.positive=true",
    TRIPLES: "derived.triples=true",
    PROFILE: "derived.profile.similarity=raw",
    SMOOTHED_PROFILE: "derived.profile.similarity=smoothed",
    PROFILE_FEATURES: "derived.profile_features=32",
}


def switch_hint(name: str) -> str:
    """Return a sentence on how to ask for a derived network or table, with a leading space; else nothing."""
    return f" It is derived from the training labels: set {SWITCHES[name]}." if is_derived(name) else ""


def is_derived(name: str) -> bool:
    """Return whether a network or a table of that name comes from training labels."""
    return name in SWITCHES
