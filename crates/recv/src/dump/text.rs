//! The report, for people.

use std::fmt::{self, Display, Formatter};

use super::report::{
    Amount, BeaconNotice, Fields, Loss, PacketLine, Place, Report, RootNotice, SenderFacts, SessionFacts, Verdicts,
    Vouched,
};

/// Told where a list is empty.
const NONE: &str = "none";

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let micros = |time: u64| format!("{}.{:06}", time / 1_000_000, time % 1_000_000);
        write!(f, "{} packets", self.packets)?;
        if self.frames > 0 {
            write!(f, " in {} frames", self.frames)?;
        }
        if let (Some(first), Some(last)) = (self.first, self.last) {
            write!(f, ", Unix time {} to {}", micros(first), micros(last))?;
        }
        writeln!(f)?;
        let others = &self.others;
        let counts = [
            (others.requests, "requests of receivers"),
            (others.datagrams, "other UDP datagrams"),
            (others.fragments, "fragments of UDP datagrams"),
            (others.no_udp, "frames without UDP"),
            (others.untold_packets, "packets of senders beyond those told"),
            (others.untold_statements, "sessions, roots and beacons beyond those told"),
            (others.kernel_drops, "packets that came faster than they were taken"),
        ];
        let beside: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if !beside.is_empty() {
            writeln!(f, "beside them: {}", beside.join(", "))?;
        }
        match &self.trust {
            None => writeln!(
                f,
                "NOTHING IS VERIFIED: anyone can send what says this. Name whom to trust by --trust, --root or --config."
            )?,
            Some(trust) => writeln!(f, "{trust}")?,
        }
        self.senders.iter().try_for_each(|sender| write!(f, "\n{sender}"))?;
        self.sessions.iter().try_for_each(|session| write!(f, "\n{session}"))?;
        self.roots.iter().try_for_each(|root| write!(f, "\n{root}"))?;
        self.beacons.iter().try_for_each(|beacon| write!(f, "\n{beacon}"))
    }
}

/// A heading, then lines below it.
struct Block<'a, 'b>(&'a mut Formatter<'b>);

impl Block<'_, '_> {
    fn line(&mut self, word: &str, text: impl Display) -> fmt::Result {
        writeln!(self.0, "  {word:<10} {text}")
    }
}

impl Display for SenderFacts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "sender {} to group {}", self.source, self.group)?;
        let mut block = Block(f);
        block.line("heard", self.amount)?;
        block.line("loss", self.loss)?;
        if self.layers.iter().any(|layer| layer.layer > 0) {
            for layer in &self.layers {
                block.line("layer", format_args!("{}: {}; {}", layer.layer, layer.amount, layer.loss))?;
            }
        }
        let kinds: Vec<_> =
            self.kinds.iter().map(|(kind, n)| format!("{kind} {}", percent(*n, self.amount.packets))).collect();
        block.line("kinds", kinds.join(", "))?;
        block.line("verdicts", &self.verdicts)?;
        let sessions: Vec<_> = self.sessions.iter().map(|(session, n)| format!("{session} ({n} packets)")).collect();
        block.line("sessions", if sessions.is_empty() { NONE.into() } else { sessions.join(", ") })
    }
}

impl Display for Amount {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets, {} octets of UDP payload", self.packets, self.octets)?;
        match (self.packets_per_second, self.octets_per_second) {
            (Some(packets), Some(octets)) => {
                let (bits, unit) = scaled(octets * 8.0);
                write!(
                    f,
                    " in {:.1} s: {packets:.1} packets/s, {octets:.0} octets/s ({bits:.2} {unit}bit/s)",
                    self.seconds
                )
            }
            _ => Ok(()),
        }
    }
}

impl Display for Loss {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.sent {
            0 => f.write_str("not known"),
            sent => write!(f, "{} by the counts: {} of {sent}", percent(self.lost, sent), self.lost),
        }
    }
}

impl Display for Verdicts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} verified", self.verified)?;
        if self.claimed > 0 {
            write!(f, ", {} only agree with what is not verified", self.claimed)?;
        }
        for (what, codes) in [("could not be judged", &self.unjudged), ("dropped", &self.dropped)] {
            if !codes.is_empty() {
                let each: Vec<_> = codes.iter().map(|(code, n)| format!("{code} {n}")).collect();
                write!(f, ", {} {what} ({})", codes.values().sum::<u64>(), each.join(", "))?;
            }
        }
        Ok(())
    }
}

impl Display for Vouched {
    /// `VERIFIED` or not, as it belongs into every heading.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.verified, self.refused) {
            (true, _) => f.write_str("verified"),
            (false, Some(code)) => write!(f, "NOT VERIFIED, refused ({code}): it says"),
            (false, None) => f.write_str("NOT VERIFIED: it says"),
        }
    }
}

impl Vouched {
    fn signers(&self) -> String {
        let keys = if self.signed_by.is_empty() { NONE.to_owned() } else { self.signed_by.join(", ") };
        if self.verified { keys } else { format!("{keys}, if that is true") }
    }
}

impl Display for SessionFacts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "session {} {}", self.session, self.vouched)?;
        let mut block = Block(f);
        let Self { version, sequence, security_version, .. } = self;
        block.line("release", format_args!("{version}, sequence {sequence}, security version {security_version}"))?;
        block.line("vendor", &self.vendor)?;
        block.line("classes", self.classes.join(", "))?;
        block.line("signed by", self.vouched.signers())?;
        for c in &self.components {
            block.line(
                "component",
                format_args!(
                    "{} for target {}: {} octets; {} source and {} repair chunks of {} octets in {} cells",
                    c.name, c.target, c.size, c.source_chunks, c.repair_chunks, c.chunk, c.cells
                ),
            )?;
        }
        block.line("heard", self.heard)?;
        let agree = if self.vouched.verified { "verified" } else { "agree with the manifest" };
        block.line("chunks", format_args!("{} {agree}", self.chunks))?;
        let cycle = self.cycle;
        let amount = format!("{} packets, {} octets of UDP payload", cycle.packets, cycle.octets);
        match (cycle.seconds, cycle.seconds_to_complete) {
            (Some(cycle), Some(complete)) => block.line(
                "cycle",
                format_args!(
                    "{amount}: {cycle:.1} s as heard; a device that joins has the release in about {complete:.1} s"
                ),
            ),
            _ => block.line("cycle", amount),
        }
    }
}

impl Display for RootNotice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "root {} {}", self.root.version, self.vouched)?;
        let mut block = Block(f);
        block.line("vendor", &self.vendor)?;
        block.line("signed by", self.vouched.signers())?;
        block.line("trusts", &self.root)?;
        block.line("heard", format_args!("{} packets; of Unix time {}", self.packets, self.issued))
    }
}

impl Display for BeaconNotice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "beacon {}", self.vouched)?;
        let mut block = Block(f);
        block.line("state", format_args!("{}; of Unix time {}, good until {}", self.state, self.issued, self.until))?;
        block.line("vendor", &self.vendor)?;
        block.line("signed by", self.vouched.signers())?;
        block.line("root", self.root)?;
        for c in &self.current {
            let (class, sequence, security) = (&c.class, c.sequence, c.security_version);
            block.line("current", format_args!("class {class}: sequence {sequence}, security version {security}"))?;
        }
        block.line("heard", format_args!("{} packets", self.packets))
    }
}

impl Display for PacketLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} {} > {}", self.time / 1_000_000, self.time % 1_000_000, self.source, self.group)?;
        write!(f, " {} octets", self.octets)?;
        if let Some(Fields { session, layer, count, .. }) = self.fields {
            write!(f, " {session} layer {layer} #{count}")?;
        }
        write!(f, " {}", self.kind)?;
        match self.fields.map(|fields| fields.place) {
            None | Some(Place::None {}) => {}
            Some(Place::Root { version }) => write!(f, " {version}")?,
            Some(Place::Page { component, cell }) => write!(f, " of component {component}, cell {cell}")?,
            Some(Place::Chunk { component, block, symbol }) => {
                write!(f, " of component {component}, block {block}, symbol {symbol}")?;
            }
        }
        write!(f, ": {}", self.verdict)?;
        self.code.map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

#[expect(clippy::cast_precision_loss, reason = "for show")]
fn percent(part: u64, of: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / of.max(1) as f64)
}

/// A number below 1,000 with its prefix.
fn scaled(number: f64) -> (f64, &'static str) {
    match number {
        n if n >= 1e9 => (n / 1e9, "G"),
        n if n >= 1e6 => (n / 1e6, "M"),
        n if n >= 1e3 => (n / 1e3, "k"),
        n => (n, ""),
    }
}
