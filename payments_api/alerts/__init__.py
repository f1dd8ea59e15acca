"""Tells people what goes wrong: incidents by Telegram, errors by Sentry, and metrics for both."""
