"""The tables; each function's SQL stands beside it."""
