//! The nightly job: one file per stage, each can run again and then finds nothing to do.
