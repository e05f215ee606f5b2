"""One file per group of LSP methods: convert, snapshot, call one feature, convert back."""
