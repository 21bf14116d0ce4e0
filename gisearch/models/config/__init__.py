"""The models' configurations, without PyTorch, which only ``build`` imports: a plan is checked in no time."""
