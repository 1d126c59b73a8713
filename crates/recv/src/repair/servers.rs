//! Whom to ask about one release, and whom no more: pure.

use std::time::Duration;

/// Answers with wrong octets until a server is left alone.
const MAX_WRONG: u32 = 3;

/// The servers of the settings, in their order.
#[derive(Debug)]
pub(crate) struct Servers {
    list: Vec<Server>,
    current: usize,
    /// The longest pause that one of them has asked for since the last right answer.
    retry_after: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Server {
    /// It has failed since the last right answer of another, or of its own.
    has_failed: bool,
    wrong: u32,
    is_left_alone: bool,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ask the next server.
    Ask,
    /// All have failed: ask the first again, but not before this time has gone by.
    Wait(Duration),
    /// None is left.
    GiveUp,
}

/// What a server has done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    /// Something that may be over soon.
    Passing(Duration),
    /// It cannot serve ranges.
    Lasting,
    /// It gave wrong octets.
    Wrong,
}

impl Servers {
    pub(crate) fn new(count: usize) -> Self {
        Self { list: vec![Server::default(); count], current: 0, retry_after: Duration::ZERO }
    }

    /// The one to ask, by its place in the settings.
    pub(crate) const fn current(&self) -> usize {
        self.current
    }

    /// The one asked has given what it should.
    pub(crate) fn note_success(&mut self) {
        self.list.iter_mut().for_each(|server| server.has_failed = false);
        self.retry_after = Duration::ZERO;
    }

    /// The one asked has not.
    pub(crate) fn note_failure(&mut self, failing: Failing) -> Next {
        if let Some(server) = self.list.get_mut(self.current) {
            server.has_failed = true;
            match failing {
                Failing::Passing(retry_after) => self.retry_after = self.retry_after.max(retry_after),
                Failing::Lasting => server.is_left_alone = true,
                Failing::Wrong => {
                    server.wrong += 1;
                    server.is_left_alone = server.wrong >= MAX_WRONG;
                }
            }
        }
        let first = |is_it: fn(&Server) -> bool| self.list.iter().position(is_it);
        if let Some(next) = first(|server| !server.has_failed && !server.is_left_alone) {
            self.current = next;
            return Next::Ask;
        }
        let Some(next) = first(|server| !server.is_left_alone) else { return Next::GiveUp };
        let wait = self.retry_after;
        self.note_success();
        self.current = next;
        Next::Wait(wait)
    }

    /// Whether the one with this place is asked no more.
    pub(crate) fn is_left_alone(&self, server: usize) -> bool {
        self.list.get(server).is_some_and(|server| server.is_left_alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: Failing = Failing::Passing(Duration::ZERO);

    #[test]
    fn the_next_server_is_asked_at_once_and_the_first_again_after_a_pause() {
        let mut servers = Servers::new(3);
        assert_eq!((servers.current(), servers.note_failure(DOWN)), (0, Next::Ask));
        assert_eq!((servers.current(), servers.note_failure(Failing::Passing(Duration::from_secs(9)))), (1, Next::Ask));
        assert_eq!((servers.current(), servers.note_failure(DOWN)), (2, Next::Wait(Duration::from_secs(9))));
        assert_eq!((servers.current(), servers.note_failure(DOWN)), (0, Next::Ask));
        servers.note_success();
        // One that works is kept.
        assert_eq!((servers.current(), servers.note_failure(DOWN)), (1, Next::Ask));
        assert_eq!(servers.current(), 0);
    }

    #[test]
    fn who_gives_wrong_octets_three_times_or_no_ranges_is_asked_no_more() {
        let mut servers = Servers::new(2);
        for _ in 0..2 {
            assert_eq!((servers.current(), servers.note_failure(Failing::Wrong)), (0, Next::Ask));
            assert_eq!((servers.current(), servers.note_failure(DOWN)), (1, Next::Wait(Duration::ZERO)));
        }
        assert_eq!((servers.current(), servers.note_failure(Failing::Wrong)), (0, Next::Ask));
        assert!(servers.is_left_alone(0) && !servers.is_left_alone(1));
        assert_eq!((servers.current(), servers.note_failure(DOWN)), (1, Next::Wait(Duration::ZERO)));
        assert_eq!((servers.current(), servers.note_failure(Failing::Lasting)), (1, Next::GiveUp));
    }
}
