//! The tree itself: layers, file sizes, words that must not appear.
