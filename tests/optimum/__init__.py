"""How good the planner's purchases are: against the least cost that is possible, with every limit looked at anew."""
