"""What VMs cost, who pays for them, and what may still be spent."""
