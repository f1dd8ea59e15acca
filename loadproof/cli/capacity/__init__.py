"""`loadproof capacity`: its settings, what may be resumed, its trials."""
