"""One room for each dataflow, with all that only this flow does; and `history`, what a log can be asked."""
