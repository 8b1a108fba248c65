"""Facts to messages: `compose` (pure), and the dataflow that delivers them to the inbox."""
