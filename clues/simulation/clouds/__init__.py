"""The simulated providers: VMs that take their time, or never come, and what goes wrong."""
