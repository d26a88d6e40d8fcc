"""A bridge between a chat and projects: what people ask for is done, job after job, and told in the chat."""
