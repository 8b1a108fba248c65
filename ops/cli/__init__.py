"""The `circle` command. A module with a `register(app)` adds its commands; `main` finds these modules by itself."""
