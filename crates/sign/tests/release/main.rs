//! Releases as the library makes and checks them.

#![expect(clippy::unwrap_used, reason = "test code")]

mod images;
mod releases;
