"""Keys of what a trial reports; nested values travel as JSON text, because Tune flattens mappings.

Apart, because a trial's process that only relays reports needs nothing else of the search.
"""

EPOCH, OBJECTIVE = "epoch", "objective"
METRICS, SUMMARY = "metrics", "summary"
FINISHED, FAILURE, LOST = "finished", "failure", "lost"
