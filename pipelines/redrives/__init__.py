"""Requests to apply facts again that a flow had set aside: their rows, and the facts' records on the log."""
