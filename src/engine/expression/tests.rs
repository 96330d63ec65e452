//! Expressions: tables of mistakes, of what is read, and of results.
