"""Keys of what a trial reports; nested values travel as JSON text, because Tune flattens mappings.

Apart, because a trial's process that only relays reports needs nothing else of the search.
"""

EPOCH, OBJECTIVE = "epoch", "objective"
METRICS, SUMMARY = "metrics", "summary"
LAST_EPOCH, FINISHED, FAILURE, LOST = "last_epoch", "finished", "failure", "lost"
# In place of a failure: no space is left where the trial writes, and in which words.
NO_SPACE = "no_space"
# Epochs of earlier attempts, which a trial that goes on from a checkpoint tells again.
HISTORY = "history"
