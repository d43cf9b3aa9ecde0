"""hmean: labelled page images in, the best text detector that a compute budget can buy out."""

__version__ = "0.1.0"
