"""Links in e-mails: their tokens, the verification of addresses, and the pages they open."""
