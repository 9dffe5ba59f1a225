//! How to reach a system: one file per protocol. Drivers know neither mappings nor the store.
