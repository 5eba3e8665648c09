//! The house started for a test.
