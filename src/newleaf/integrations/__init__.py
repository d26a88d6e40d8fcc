"""The doors by which people and programs ask a host for an update: chats, HTTP, webhooks."""
