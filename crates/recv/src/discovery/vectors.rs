//! What DNS says, checked as the vectors of the spec say.

use fleetcast_netlab::vectors::{Vector, layer};

use super::answer::{Answer, AnswerError, Target};
use crate::config::Feed;

/// The records of a header.
fn answer(v: &Vector) -> Answer {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let target = |line: &str| {
        let [priority, weight, port, name] = &words(line)[..] else { panic!("{}: {line}", v.name) };
        let of_target = |line: &str| line.strip_prefix(&format!("{name} ")).map(|address| address.parse().unwrap());
        let addresses = v.all("address").filter_map(of_target).collect();
        let [priority, weight, port] = [priority, weight, port].map(|number| number.parse().unwrap());
        Target { priority, weight, port, name: name.clone(), addresses }
    };
    Answer { targets: v.all("srv").map(target).collect(), texts: v.all("text").map(words).collect() }
}

/// A `join` line.
fn line(depth: usize, Feed { group, sources, layers }: &Feed) -> String {
    let mut sources = sources.clone();
    sources.sort_unstable();
    let sources: Vec<_> = sources.iter().map(ToString::to_string).collect();
    format!("{depth} {} {} {layers} {}", group.ip(), group.port(), sources.join(","))
}

#[test]
fn what_dns_says_is_joined_as_the_vectors_say() {
    for v in layer("dns") {
        let got = answer(&v).plan();
        assert_eq!(got.as_ref().map_or_else(AnswerError::code, |_| "ok"), v.get("expect"), "{}", v.name);
        let Ok(plan) = got else { continue };
        let of_depth = |depth| {
            let mut feeds = plan.feeds(depth);
            feeds.sort_by_key(|feed| feed.group);
            feeds.iter().map(|feed| line(depth, feed)).collect::<Vec<_>>()
        };
        let lines: Vec<_> = (1..=plan.tiers().len()).flat_map(of_depth).collect();
        assert_eq!(lines, v.all("join").collect::<Vec<_>>(), "{}", v.name);
    }
}
