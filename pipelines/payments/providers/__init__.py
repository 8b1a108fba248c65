"""Payment providers: the protocol, Stripe, the sandbox for development and the demo, and a fake for tests."""
