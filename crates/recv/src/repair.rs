//! HTTP repair (spec §14): what is missing near the end of a reception is fetched from web servers, by byte ranges.
//!
//! | module | what |
//! | --- | --- |
//! | `pace` | when to ask: near the end and in silence only, at a random moment, seldomer after failures |
//! | `plan` | what to ask for: runs of chunks that are still needed, and the pages that prove them |
//! | `servers` | whom to ask, and whom no more |
//! | `reply` | whether an answer is one to what was asked |
//! | `client` | the thread that asks |
//! | `http` | one request on one connection |
//! | `tls` | the same by TLS, with the feature `https` |
//!
//! All but the last three are pure. [`crate::device::Device`] puts them together, and verifies every octet like one from the
//! air: a server is as little trusted as a sender.

mod client;
mod http;
mod pace;
mod plan;
mod reply;
mod servers;
#[cfg(feature = "https")]
mod tls;

use serde::Serialize;

use crate::config::Server;

pub(crate) use client::{Client, Dialer};
pub(crate) use pace::Pace;
pub(crate) use plan::{Cursor, needed_run};
pub use reply::FetchError;
pub(crate) use servers::{Failing, Next, Servers};

/// Octets of a file, to be asked of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where the file is.
    pub server: Server,
    /// Its name there.
    pub name: String,
    /// The first octet.
    pub offset: u64,
    /// How many: at most a few hundred thousand.
    pub length: u32,
    /// Octets that the whole file has.
    pub total: u64,
}

impl Request {
    /// The octet behind the last.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// What came of a request.
#[derive(Debug)]
pub struct Reply {
    /// Octets of bodies that came, of use or not.
    pub octets: u64,
    /// Exactly the octets asked for.
    pub result: Result<Vec<u8>, FetchError>,
}

/// What was asked and came, since the start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Octets of bodies that came.
    pub octets: u64,
    /// Chunks that verified and were needed.
    pub chunks: u64,
    /// Pages that verified.
    pub pages: u64,
    /// Requests without a right answer, `wrong` ones included.
    pub failed: u64,
    /// Answers with octets that did not verify.
    pub wrong: u64,
}
