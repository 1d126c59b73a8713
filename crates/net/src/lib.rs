//! Sockets of Fleetcast: multicast joins, interfaces, batched send and receive.
//!
//! Nothing here knows what is in a datagram. [`Receiver`] joins any-source (ASM) or
//! source-specific (SSM, RFC 4607) groups over IPv4 and IPv6 and hands out datagrams in
//! batches; [`Sender`] sends to one group and is deaf: the kernel drops whatever arrives
//! at its port. [`UnicastSender`] and [`UnicastReceiver`] carry a copy where multicast does
//! not reach; [`FeedbackReceiver`] and [`FeedbackSender`] are the way back, where one is wanted.
//! Linux only.
//!
//! All live on a tokio runtime with its I/O driver enabled; the current-thread runtime
//! is enough.

mod error;
mod feedback;
mod interface;
mod membership;
mod receiver;
mod sender;
mod source;
mod sys;
mod unicast;

pub use error::{JoinError, OpenError, SendError};
pub use feedback::{FeedbackError, FeedbackReceiver, FeedbackSender, check_feedback};
pub use interface::{Interface, InterfaceError, InterfaceState};
pub use membership::{GroupError, Membership, check_membership};
pub use receiver::{ReceiveOptions, Receiver};
pub use sender::{SendOptions, Sender};
pub use source::{endpoint_number, source_number};
pub use unicast::{UnicastError, UnicastReceiver, UnicastSender};

/// Most bytes one UDP datagram over IPv4 can carry; a batch for one system call obeys the
/// same limit.
pub const MAX_DATAGRAM: usize = 65_535 - 20 - 8;
