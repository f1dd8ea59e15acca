"""What goes wrong, to people: incidents by Telegram, errors by Sentry, both as metrics."""
