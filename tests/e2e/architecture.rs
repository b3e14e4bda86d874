//! ARCHITECTURE.md is the house that stands.
