"""Pure jitted functions over arrays: no classes, no validation, no state."""
