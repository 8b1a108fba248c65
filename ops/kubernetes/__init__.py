"""Writes the Kubernetes manifests from compose.yaml, so that both run the same processes with the same numbers."""
