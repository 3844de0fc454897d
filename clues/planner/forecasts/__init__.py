"""When jobs will start, by what was seen of boots and ends; and how good that was."""
