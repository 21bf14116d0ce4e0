"""The generated demo cell: a yeast-like cell whose interactions come from a known mechanism."""

from gisearch.data.synthetic.config import DemoCellConfig, DemoNetworkConfig
from gisearch.data.synthetic.generator import DemoCell, generate_demo_cell

__all__ = ["DemoCell", "DemoCellConfig", "DemoNetworkConfig", "generate_demo_cell"]
