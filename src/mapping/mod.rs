//! What a record means: field tables, a closed set of transforms, lookups, rules, in-file tests.
