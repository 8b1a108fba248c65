"""The handlers, and the table of routes. Only the table defines who may call a route."""
