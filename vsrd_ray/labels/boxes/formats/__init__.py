"""Labels in the formats of others: one module a format, and `export`, which writes any of them."""
