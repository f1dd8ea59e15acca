"""Audits: from a run's journal, and what the target declares, to whether it kept its promises."""
