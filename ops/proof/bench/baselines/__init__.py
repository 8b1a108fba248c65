"""What the platform is compared with: other ways to sell the same seats to the same requests."""
