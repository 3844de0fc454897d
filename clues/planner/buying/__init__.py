"""Which VMs are bought for the jobs that find no room, and where."""
