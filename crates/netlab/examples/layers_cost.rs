//! Prints what layers and several senders cost on air, and how much faster they are: packets sent until complete, over the packets of the
//! image.

#![expect(clippy::expect_used, reason = "a wrong argument ends it")]

use clap::Parser;
use fleetcast_core::fec::{Layers, prefix_rate};
use fleetcast_netlab::cost::Cost;
use fleetcast_netlab::release::Release;
use fleetcast_netlab::sim::Channel;
use fleetcast_send::clock::Share;

/// Simulates receptions of one to all layers, and from one to several senders that keep apart by the clock.
#[derive(Parser)]
struct Args {
    /// Image size, in MiB.
    #[arg(long, default_value_t = 16)]
    mib: usize,
    /// Layers of the session.
    #[arg(long, default_value_t = 4)]
    layers: u8,
    /// Share lost, in percent.
    #[arg(long, value_delimiter = ',', default_value = "0,5,20")]
    loss: Vec<u8>,
    /// Senders.
    #[arg(long, value_delimiter = ',', default_value = "2,3,5")]
    senders: Vec<u8>,
    /// Joins a row.
    #[arg(long, default_value_t = 20)]
    joins: u64,
    /// First seed; the others follow it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() {
    let args = Args::parse();
    let layers = Layers::new(args.layers).expect("1 to 8 layers");
    let single = Release::generated(args.mib << 20).carousel;
    println!("{} MiB, packets sent until complete / image packets, mean of {} joins", args.mib, args.joins);
    println!("| loss | layers heard | senders | mean | as fast as one layer of one sender, times |");
    println!("| --- | --- | --- | --- | --- |");
    let several = Release::generated(args.mib << 20).carousel.layered(layers);
    for percent in args.loss {
        let channel = Channel::Independent(f64::from(percent) / 100.0);
        let mean = |carousel: &_, heard, ahead: &[u32]| {
            Cost::of_senders(carousel, heard, ahead, channel, args.seed, args.joins).mean()
        };
        let alone = mean(&single, 1, &[0]);
        println!("| {percent} % | 1 of 1 | 1 | {alone:.3} | 1.00 |");
        let row = |carousel, of: Layers, heard, senders: u8| {
            let share = |index| format!("{index}/{senders}").parse::<Share>().expect("a share");
            let ahead: Vec<_> = (0..senders).map(|index| share(index).ahead(of).0).collect();
            let mean = mean(carousel, heard, &ahead);
            let faster = f64::from(senders) * f64::from(prefix_rate(heard)) * alone / mean;
            println!("| {percent} % | {heard} of {} | {senders} | {mean:.3} | {faster:.2} |", of.count());
        };
        (1..=layers.count()).for_each(|heard| row(&several, layers, heard, 1));
        for &senders in &args.senders {
            row(&single, Layers::ONE, 1, senders);
            (1..=layers.count()).for_each(|heard| row(&several, layers, heard, senders));
        }
    }
}
