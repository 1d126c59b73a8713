//! With a simulated boot loader on the simulated disk it starts from.

mod alone;
mod bench;
mod loader;
mod power_cut;
