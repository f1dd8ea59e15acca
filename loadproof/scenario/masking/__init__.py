"""Masks secrets in texts, however a server or a log has encoded them."""
