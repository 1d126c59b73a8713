//! The cases, by what they are about.

mod beacons;
mod forged;
mod policy;
mod reception;
mod restarts;
mod roots;
mod statements;

use super::Case;
use super::packets::{cycle, release, whole};
use super::script::{Script, Session};

pub(super) fn all() -> Vec<Case> {
    [reception::CASES, forged::CASES, statements::CASES, policy::CASES, restarts::CASES, roots::CASES, beacons::CASES]
        .concat()
}

/// Release 1 is installed; of `session` nothing may be; release 5 shows that the receiver is alive.
fn refuses(session: Session) -> Script {
    let (old, new) = (release(1), release(5));
    let first = Script::default().installs(&old, Session::of(&whole(&old)));
    first.keeps(session).installs(&new, Session::of(&cycle(&new)).then(&cycle(&new)))
}
