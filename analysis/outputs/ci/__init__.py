"""What CI systems and chats are told: JUnit XML, annotations, gate.json and notifications."""
