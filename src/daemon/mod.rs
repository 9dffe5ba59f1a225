//! Unattended operation: schedules, leases, health.
