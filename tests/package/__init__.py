"""What `./dev package` makes works where nothing else of the project is."""
