//! What every listener of ours has in common: TLS, limits, lifecycle, clock, request id, access log, health, metrics.
