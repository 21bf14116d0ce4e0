"""From a sweep's trained models to one ensemble of some of them."""
