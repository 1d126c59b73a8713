//! The receiver as a C library: datagrams and time in, verified images out, through the caller's own sockets and storage.
//!
//! `include/fleetcast.h` is its documentation, and `examples/c` a program that uses it. Here is what stands behind:
//!
//! | module | what it does | `unsafe` |
//! | --- | --- | --- |
//! | [`storage`] | what a receiver needs of its storage | no |
//! | [`device`] | the receive session on that storage | no |
//! | [`record`] | what a device remembers of its releases | no |
//! | `roots` | the roots that have followed | no |
//! | [`abi`] | structures and numbers of the header | no |
//! | [`host`] | storage by the caller's functions | calls them |
//! | [`ffi`] | the functions of the header | reads what callers point at |
#![deny(clippy::indexing_slicing, reason = "hostile bytes reach every line of this crate")]

pub mod abi;
pub mod device;
pub mod ffi;
pub mod host;
mod keeper;
pub mod record;
mod roots;
pub mod storage;
mod stored;
