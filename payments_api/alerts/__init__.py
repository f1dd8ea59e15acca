"""Alerts people: incidents by Telegram, errors by Sentry, and metrics for both."""
