"""Own correctors and systems: rewrite (prompt, answer) into a new answer and record each step."""
