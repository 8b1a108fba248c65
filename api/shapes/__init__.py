"""Bodies, queries and answers of the HTTP API, as msgspec structs. The OpenAPI document is made from them."""
