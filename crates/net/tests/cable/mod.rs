//! A network namespace with one cable, which lives and dies with its thread. It needs root, `ip` and `nft`.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use fleetcast_net::{Interface, Receiver, SendOptions};
use nix::sched::{CloneFlags, unshare};
use tokio::time::timeout;

/// Runs one `ip` or `nft` command in the namespace of this thread.
pub(crate) fn sh(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `test` where `va` and `vb` are the ends of one cable of MTU 1,400.
pub(crate) fn on_a_cable<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let lab = std::thread::spawn(move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            assert!(std::env::var_os("CI").is_none(), "no network namespace: {error}");
            eprintln!("SKIPPED: needs root for a network namespace ({error})");
            return;
        }
        sh("ip link set lo up");
        sh("ip link add va mtu 1400 type veth peer name vb mtu 1400");
        sh("ip addr add 10.77.0.1/24 dev va");
        sh("ip addr add 10.77.1.2/24 dev vb");
        sh("ip addr add fd77::1/64 dev va nodad");
        sh("ip addr add fd77:1::2/64 dev vb nodad");
        sh("ip link set va up");
        sh("ip link set vb up");
        // IPv6 is ready on a link a moment after the link is up.
        while ["va", "vb"]
            .iter()
            .any(|end| !sh("ip -6 route show table local").contains(&format!("ff00::/8 dev {end}")))
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { timeout(Duration::from_secs(20), test()).await.unwrap() });
    });
    lab.join().unwrap();
}

pub(crate) fn find(interface: &str) -> Interface {
    Interface::find(interface).unwrap()
}

pub(crate) fn to(group: &str, interface: &str) -> SendOptions {
    SendOptions::new(SocketAddr::new(group.parse().unwrap(), 5000), find(interface))
}

/// Senders and contents until nothing has come for 300 ms.
pub(crate) async fn drain(receiver: &mut Receiver) -> Vec<(IpAddr, Vec<u8>)> {
    let mut all = Vec::new();
    let wait = Duration::from_millis(300);
    while let Ok(result) =
        timeout(wait, receiver.receive(|from, datagram| all.push((from.ip(), datagram.to_vec())))).await
    {
        result.unwrap();
    }
    all
}
