//! What leaves the house: credit memos, statements, mail. Every row is written before the first attempt.
