"""A log as files: export, import, and playback of a recorded drop."""
