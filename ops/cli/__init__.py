"""The `circle` command. Each module here with a `register(app)` adds its commands; `main` finds them by
itself."""
