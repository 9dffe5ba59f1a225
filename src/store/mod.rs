//! The only SQL: one file per noun, the same tests on SQLite and PostgreSQL.
