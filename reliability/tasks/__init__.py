"""Tasks take effect exactly once despite crashes."""
