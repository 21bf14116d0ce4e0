"""What the contracts cannot know, one file per model."""
