"""From what is known at the cursor to a prompt. Pure: no I/O, no clock, no state."""
