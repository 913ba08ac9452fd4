"""What is measured, and how. Each module runs with `python -m benchmarks.<name>`."""
