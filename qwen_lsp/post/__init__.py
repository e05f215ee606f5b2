"""From the model's words to text that may be shown. Pure; on strange code it returns less, never an exception."""
