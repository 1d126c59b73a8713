//! Prints what a reception costs on air: packets sent from a random join until complete, over the packets of the image.

use clap::Parser;
use fleetcast_netlab::cost::Cost;
use fleetcast_netlab::release::Release;
use fleetcast_netlab::sim::Channel;

/// Simulates receptions on a virtual clock and prints mean and 99th percentile of their cost beside 1/(1-loss) and beside a plain loop
/// over the image.
#[derive(Parser)]
struct Args {
    /// Image sizes, in MiB.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    mib: Vec<usize>,
    /// Joins a row.
    #[arg(long, default_value_t = 200)]
    joins: u64,
    /// First seed; the others follow it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() {
    let args = Args::parse();
    println!("packets sent until complete / image packets, {} joins a row, seeds from {}", args.joins, args.seed);
    println!("| image | loss | in runs of | 1/(1-loss) | mean | p99 | plain loop, mean | plain loop, p99 |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for mib in args.mib {
        let release = Release::generated(mib << 20);
        for loss in [0.0, 0.01, 0.05, 0.1, 0.2] {
            for (channel, run) in [(Channel::Independent(loss), "1"), (Channel::Bursts(loss), "10")] {
                if loss == 0.0 && run == "10" {
                    continue;
                }
                let (seed, joins) = (args.seed, args.joins);
                let cost = Cost::of(&release, channel, seed, joins);
                let plain = Cost::of_plain(release.carousel.image_packets(), channel, seed, joins);
                println!(
                    "| {mib} MiB | {:.0} % | {run} | {:.3} | {:.3} | {:.3} | {:.2} | {:.2} |",
                    loss * 100.0,
                    1.0 / (1.0 - loss),
                    cost.mean(),
                    cost.p99(),
                    plain.mean(),
                    plain.p99(),
                );
            }
        }
    }
}
