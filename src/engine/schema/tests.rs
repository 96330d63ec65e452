//! Schemas: tables of what is refused, found wrong and known.
