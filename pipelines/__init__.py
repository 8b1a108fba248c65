"""One room for each dataflow, with everything that only this flow does; and `history`, the questions to a log."""
