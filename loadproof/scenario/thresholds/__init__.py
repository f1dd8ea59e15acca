"""What thresholds may say: their metrics, their grammar, and which of them decide nothing."""
