"""What goes out: label rows, and the formats that they are kept in."""
