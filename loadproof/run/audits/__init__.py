"""Asks the target what audits need to know, before, during and after the load."""
