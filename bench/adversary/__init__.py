"""What tries to fool the verdict, and what is honest: each with the word that is right."""
