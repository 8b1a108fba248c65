"""The environment of a production process, for the tests of settings."""

from __future__ import annotations

from pathlib import Path

import pytest

PASSWORD = "hf83-kd02"


@pytest.fixture
def production(tmp_path: Path) -> dict[str, str]:
    """What production requires, and nothing more."""
    key = tmp_path / "jwt.pem"
    key.write_text("key")
    key.chmod(0o600)
    return {
        "CIRCLE_ENV": "production",
        "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": "kafka-1:9092,kafka-2:9092",
        "CIRCLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "CIRCLE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "CIRCLE_KAFKA_SASL_USERNAME": "circle",
        "CIRCLE_KAFKA_SASL_PASSWORD": PASSWORD,
        "CIRCLE_POSTGRES_URL": f"postgresql://circle:{PASSWORD}@db:5432/circle?sslmode=verify-full",
        "CIRCLE_REDIS_URL": f"rediss://:{PASSWORD}@redis:6379/0",
        "CIRCLE_JWT_KEY_FILE": str(key),
        "CIRCLE_PAYMENTS": "stripe",
        "CIRCLE_STRIPE_API_KEY": "sk_live_51Hx",
        "CIRCLE_STRIPE_WEBHOOK_SECRET": "whsec_9d2k",
    }
