"""Decides which clients may send requests, and how often, ahead of routing: lists, bots, limits and penalties."""
