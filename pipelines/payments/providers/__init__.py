"""Payment providers: the protocol, the sandbox that development and the demo pay with, and a fake for tests."""
