// Freezer
