"""An operator's work on a running platform: seat locks, dead letters, accounts, rights, the provider's books."""
