"""What `doctor` judges."""
