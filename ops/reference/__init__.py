"""The reference pages in `ops/docs/reference`, which `python -m ops.reference` writes from the code."""
