//! The bare limit of a link: batched send and batched receive, no hashing, no disk. Other
//! figures are compared with this one.
//!
//! Start `receive` first; it begins to count at the first datagram and ends when none has
//! come for a second. Both print one line of `name=value` pairs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use fleetcast_net::{Interface, Membership, ReceiveOptions, Receiver, SendError, SendOptions, Sender};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::time::{Instant, sleep_until, timeout};

type Failure = Box<dyn std::error::Error>;

/// Measures what a link carries without any work on the content.
#[derive(Parser)]
struct Args {
    /// Name or address of the interface.
    #[arg(long)]
    interface: String,
    /// Multicast address.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::new(239, 255, 77, 77)))]
    group: IpAddr,
    /// UDP port.
    #[arg(long, default_value_t = 47_777)]
    port: u16,
    /// How long to send, or to receive at most.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Bytes of UDP payload in each datagram.
    #[arg(long, default_value_t = 1044, value_parser = clap::value_parser!(u16).range(8..=9000))]
    size: u16,
    /// Send at this rate, in Mbit/s of UDP payload; as fast as possible without it.
    #[arg(long)]
    rate: Option<u32>,
    /// Send datagram by datagram.
    #[arg(long)]
    no_gso: bool,
    /// Receive datagram by datagram.
    #[arg(long)]
    no_gro: bool,
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Send numbered datagrams.
    Send,
    /// Count them.
    Receive,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::from).and_then(|runtime| {
            runtime.block_on(async {
                match args.role {
                    Role::Send => send(&args).await,
                    Role::Receive => receive(&args).await,
                }
            })
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare_link: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn send(args: &Args) -> Result<(), Failure> {
    let group = SocketAddr::new(args.group, args.port);
    let mut sender =
        Sender::open(&SendOptions { gso: !args.no_gso, ..SendOptions::new(group, Interface::find(&args.interface)?) })?;
    let size = usize::from(args.size);
    // Without GSO the same buffer takes as many system calls as it has datagrams.
    let per_train = (u16::MAX / args.size).clamp(1, 62);
    let mut train = vec![0x5a; size * usize::from(per_train)];
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    let end = start + Duration::from_secs(args.seconds);
    let (mut sent, mut failed) = (0u64, 0u64);
    while Instant::now() < end {
        for (datagram, number) in train.chunks_mut(size).zip(sent..) {
            datagram[..8].copy_from_slice(&number.to_be_bytes());
        }
        sent += u64::from(per_train);
        match sender.send(&train, size).await {
            Ok(()) => {}
            Err(SendError::Transient(_)) => failed += u64::from(per_train),
            Err(error) => return Err(error.into()),
        }
        if let Some(rate) = args.rate {
            let micros = sent * u64::from(args.size) * 8 / u64::from(rate.max(1));
            sleep_until(start + Duration::from_micros(micros)).await;
        }
    }
    report("send", args, sent - failed, start.elapsed(), cpu_seconds()? - cpu);
    println!(" failed={failed}");
    Ok(())
}

async fn receive(args: &Args) -> Result<(), Failure> {
    let membership =
        Membership { group: args.group, port: args.port, source: None, interface: Interface::find(&args.interface)? };
    let options =
        ReceiveOptions { gro: !args.no_gro, max_datagram: usize::from(args.size), ..ReceiveOptions::default() };
    let mut receiver = Receiver::join(&[membership], &options)?;
    eprintln!("receive buffer {} bytes", receiver.granted_buffer()?);

    let mut count = 0u64;
    let (mut lowest, mut highest) = (u64::MAX, 0);
    let mut note = |_, datagram: &[u8]| {
        if let Some(number) = datagram.first_chunk() {
            let number = u64::from_be_bytes(*number);
            lowest = lowest.min(number);
            highest = highest.max(number);
            count += 1;
        }
    };
    receiver.receive(&mut note).await?;
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    let mut last = start;
    let end = start + Duration::from_secs(args.seconds);
    while last < end {
        let Ok(result) = timeout(Duration::from_secs(1), receiver.receive(&mut note)).await else {
            break;
        };
        result?;
        last = Instant::now();
    }
    report("receive", args, count, last - start, cpu_seconds()? - cpu);
    let missing = (highest + 1).saturating_sub(lowest).saturating_sub(count);
    println!(" missing={missing} kernel_dropped={}", receiver.dropped()?);
    Ok(())
}

fn report(role: &str, args: &Args, packets: u64, time: Duration, cpu: f64) {
    // Exact up to 2^53 packets.
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let packets_per_second = packets as f64 / time.as_secs_f64().max(1e-9);
    let megabits = packets_per_second * f64::from(args.size) * 8e-6;
    let seconds = time.as_secs_f64();
    print!("role={role} size={} packets={packets} seconds={seconds:.3}", args.size);
    print!(" packets_per_second={packets_per_second:.0} payload_mbit_per_second={megabits:.1} cpu_seconds={cpu:.3}");
}

/// Processor time of this process so far, in user and kernel.
fn cpu_seconds() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros)?).as_secs_f64())
}
