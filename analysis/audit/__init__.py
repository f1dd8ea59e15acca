"""Audits: checks a run's journal against what the target declares, to see whether it kept its promises."""
