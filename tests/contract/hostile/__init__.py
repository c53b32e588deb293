"""What a hostile caller sends, and that every answer is right, prompt and cheap (issue 4 section 4, faults.md Threats)."""
