"""What must never happen in a simulated world: looked at after every event, and reckoned without the daemon's parts."""
