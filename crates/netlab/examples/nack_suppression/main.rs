//! Prints how requests grow with receivers, with a feedback group and where nobody hears the others.
#![expect(clippy::unwrap_used, reason = "all of it is made here")]

mod fleet;

use clap::Parser;
use fleet::{Fleet, Way};

/// Simulates a carousel without repair chunks, and receivers that lose packets independently and ask for what they lack, on a virtual
/// clock.
#[derive(Parser)]
struct Args {
    /// Numbers of receivers.
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64,256")]
    receivers: Vec<usize>,
    /// Chunks of the image.
    #[arg(long, default_value_t = 16_384)]
    chunks: u32,
    /// Packets lost, of 100.
    #[arg(long, default_value_t = 5)]
    loss: u8,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() {
    let Args { receivers, chunks, loss, seed } = Args::parse();
    println!("{chunks} chunks, {loss} % independent loss, no repair chunks, 1200 packets/s, seed {seed}");
    println!("| receivers | way | requests | answers | cycles until the last is complete | mean of all |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for n in receivers {
        for way in [Way::None, Way::Host, Way::Group] {
            let run = Fleet { receivers: n, chunks, loss, seed, way }.run();
            println!(
                "| {n} | {} | {} | {} | {:.2} | {:.2} |",
                way.words(),
                run.requests,
                run.answers,
                run.last,
                run.mean
            );
        }
    }
}
