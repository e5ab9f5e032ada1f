"""What is wrong with a server's CORS, judged from what it really answered: by the Fetch standard, in words, with the fix."""
