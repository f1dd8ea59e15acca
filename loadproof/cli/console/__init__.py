"""What all commands share: options, output, notices, and what they do without memory."""
