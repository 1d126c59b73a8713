//! What goes next, and when: carousel, roots and beacon, and answers, all at one pace. No clock and no socket; the caller tells
//! the time since an origin of its own.

use std::time::Duration;

use fleetcast_core::fec::Slot;

use crate::batch::Batch;
use crate::carousel::{Carousel, Phase};
use crate::clock::Load;
use crate::nack::Answers;
use crate::notices::chain::SentRoot;
use crate::pacing::{Pace, Pacer};
use crate::source::CellError;
use crate::statements::{Due, Statements};

/// Octets that every link with IPv6 takes in a packet, UDP and IP headers left out: a beacon may grow to that.
const ANY_LINK: usize = 1232;

/// A paced stream of packets. Whatever goes out of turn takes of the rate and is counted as all packets are; the carousel's own
/// order does not change by it.
#[derive(Debug)]
pub struct Feed<'a> {
    carousel: &'a mut Carousel,
    statements: Statements,
    /// None: nobody is answered.
    answers: Option<Answers>,
    pacer: Pacer,
    /// Octets of the longest packet that the pacer lets go.
    longest: usize,
    cycles: Option<u64>,
    /// The carousel that takes over before the next cell.
    next: Option<Box<Carousel>>,
    turn: Turn,
    /// What went out of turn since the carousel last followed its clock.
    beside: Load,
}

/// Whose packet is next.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Carousel,
    Answer(Slot),
    Statement(Due),
    /// Nobody's, for as long as a packet of `len` takes, `left` times: above the base layer it is quiet while a statement goes there, so
    /// that no layer is faster than its part of the rate.
    Pause {
        len: usize,
        left: u32,
    },
}

impl<'a> Feed<'a> {
    /// All that `carousel` sends at `pace`, until `cycles` are complete or for ever, and the rest in between. The first packet
    /// may go at once.
    #[must_use]
    pub fn new(
        carousel: &'a mut Carousel,
        pace: Pace,
        cycles: Option<u64>,
        statements: Statements,
        answers: Option<Answers>,
    ) -> Self {
        let longest = longest(carousel, &statements);
        let pacer = Pacer::new(pace, longest, Duration::ZERO);
        let (turn, beside) = (Turn::Carousel, Load::default());
        Self { carousel, statements, answers, pacer, longest, cycles, next: None, turn, beside }
    }

    /// Has another carousel of as many layers take over where this one is between two cells; the last one given counts.
    pub fn set_next(&mut self, carousel: Carousel) {
        self.next = Some(Box::new(carousel));
    }

    /// Whether a carousel waits to take over.
    #[must_use]
    pub const fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Lets the next carousel take over at `now`, if there is one.
    fn take_over(&mut self, now: Duration) {
        let Some(next) = self.next.take() else { return };
        *self.carousel = *next;
        if let Some(answers) = &mut self.answers {
            answers.take_over(self.carousel.source().release());
        }
        self.longest = longest(self.carousel, &self.statements);
        self.pacer.set_longest(self.longest, now);
        self.beside = Load::default();
    }

    /// Adds the packets that may go at `now` to the batch of their layer, up to about `most` octets. `unix` is the time since the
    /// beginning of 1970; returns whether the carousel had to be set by it and nothing that went out of turn explains that.
    ///
    /// # Errors
    ///
    /// [`CellError`].
    pub fn fill(
        &mut self,
        now: Duration,
        unix: Duration,
        most: usize,
        batches: &mut [Batch],
    ) -> Result<bool, CellError> {
        let (mut octets, mut is_set) = (0, false);
        loop {
            if self.carousel.is_between_cells() && matches!(self.turn, Turn::Carousel) {
                self.take_over(now);
            }
            if self.carousel.is_between_cells()
                && let Some(ahead) = self.carousel.follow(unix)
            {
                is_set |= !self.explains(ahead);
                self.beside = Load::default();
            }
            let len = self.next_len();
            if octets >= most || self.is_complete() || !self.pacer.may_send(now, len) {
                return Ok(is_set);
            }
            let layer = if let Turn::Carousel = self.turn { self.carousel.next_layer() } else { 0 };
            let Some(batch) = batches.get_mut(layer) else { return Ok(is_set) };
            match self.turn {
                Turn::Carousel => self.carousel.next_packet(batch)?,
                Turn::Answer(slot) => self.carousel.packet_of(slot, batch)?,
                Turn::Statement(due) => {
                    if let Some((object, statement)) = self.statements.get(due) {
                        self.carousel.push_statement(object, statement, batch);
                    }
                }
                Turn::Pause { .. } => {}
            }
            self.pacer.sent(len);
            octets += len;
            self.note(len);
            self.turn = self.next_turn(now);
        }
    }

    /// When to call [`Feed::fill`] again if nothing might go.
    #[must_use]
    pub fn next_send(&self) -> Duration {
        self.pacer.next_send(self.next_len())
    }

    /// Loses the time that has gathered until `now`: the next packet waits as long as it takes.
    pub fn empty(&mut self, now: Duration) {
        self.pacer.empty(now);
    }

    /// Whether all cycles asked for are complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cycles.is_some_and(|cycles| self.carousel.progress().0 >= cycles)
    }

    /// The carousel.
    #[must_use]
    pub const fn carousel(&self) -> &Carousel {
        self.carousel
    }

    /// Roots and beacon.
    #[must_use]
    pub const fn statements(&self) -> &Statements {
        &self.statements
    }

    /// Sends another beacon from now on, or none, and at `now` prepares for its packet.
    pub fn set_beacon(&mut self, statement: Option<Vec<u8>>, now: Duration) {
        self.statements.set_beacon(statement);
        self.fit(now);
    }

    /// Sends these roots from now on: those there were, and new ones behind them.
    pub fn set_roots(&mut self, roots: Vec<SentRoot>, now: Duration) {
        self.statements.set_roots(roots);
        self.fit(now);
    }

    /// Has the pacer let the longest packet go that there is from `now` on.
    fn fit(&mut self, now: Duration) {
        let longest = longest(self.carousel, &self.statements);
        if longest > self.longest {
            self.longest = longest;
            self.pacer.set_longest(longest, now);
        }
    }

    /// Requests and their answers, if they are heard.
    #[must_use]
    pub const fn answers(&self) -> Option<&Answers> {
        self.answers.as_ref()
    }

    /// The same, for requests that come.
    pub const fn answers_mut(&mut self) -> Option<&mut Answers> {
        self.answers.as_mut()
    }

    /// Octets of the longest packet that may ever go.
    #[must_use]
    pub const fn longest(&self) -> usize {
        self.longest
    }

    /// Octets that a packet may have though it is not known what the link takes.
    #[must_use]
    pub fn fits_anywhere(&self) -> usize {
        self.longest.max(ANY_LINK)
    }

    /// Octets of the next packet.
    fn next_len(&self) -> usize {
        match self.turn {
            Turn::Carousel => self.carousel.next_len(),
            Turn::Answer(slot) => self.carousel.len_of(slot),
            Turn::Statement(due) => self.statements.len_of(due),
            Turn::Pause { len, .. } => len,
        }
    }

    /// Notes that the packet whose turn it is has gone.
    fn note(&mut self, len: usize) {
        if let Turn::Carousel = self.turn {
            if let Some(answers) = &mut self.answers {
                answers.carousel_sent();
            }
        } else {
            self.beside.slots += 1;
            self.beside.octets += len as u64;
        }
    }

    /// Whose turn it is after this one. Two statements never go in a row: whatever is due, the carousel moves on.
    fn next_turn(&mut self, now: Duration) -> Turn {
        match self.turn {
            Turn::Carousel => {
                if let Some(due) = self.statements.next(now) {
                    return Turn::Statement(due);
                }
            }
            Turn::Statement(due) => {
                let left = self.carousel.layers().rate().saturating_sub(1);
                if left > 0 {
                    return Turn::Pause { len: self.statements.len_of(due), left };
                }
            }
            Turn::Pause { len, left } if left > 1 => return Turn::Pause { len, left: left - 1 },
            Turn::Pause { .. } | Turn::Answer(_) => {}
        }
        self.answers.as_mut().and_then(|answers| answers.next(now)).map_or(Turn::Carousel, Turn::Answer)
    }

    /// Whether the carousel was so far behind its clock because of what went out of turn, or not much further.
    fn explains(&self, behind: Phase) -> bool {
        let cycle = self.carousel.load();
        let is_enough = |own: u64, of: u64| (u128::from(own) << 33) >= u128::from(behind.0) * u128::from(of);
        is_enough(self.beside.slots, cycle.slots) || is_enough(self.beside.octets, cycle.octets)
    }
}

/// Octets of the longest packet of a carousel, and of what may go beside it.
fn longest(carousel: &Carousel, statements: &Statements) -> usize {
    let own = carousel.source().max_packet();
    if statements.longest() > 0 { own.max(statements.longest()).max(ANY_LINK) } else { own }
}
