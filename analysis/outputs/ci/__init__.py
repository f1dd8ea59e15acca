"""What CI systems and chats are told: JUnit XML, annotations and notifications."""
