"""The Docker stack from what this machine can get: an engine, compose, the product's image, stand-ins for a hub's."""
