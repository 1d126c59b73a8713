//! What stands for the board: memory that is measured, flash in spare memory of the machine, a file in place of the network.

pub(crate) mod memory;
mod nor;
mod session;
mod tally;

pub(crate) use nor::{Nor, discharge};
pub(crate) use session::{Record, Session};
pub(crate) use tally::Tally;

use core::fmt;
use core::panic::PanicInfo;

use semihosting::process;

/// Where the program prints to.
pub(crate) fn stdout() -> impl fmt::Write {
    Stdout
}

struct Stdout;

impl fmt::Write for Stdout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        semihosting::print!("{text}");
        Ok(())
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    semihosting::println!("FAIL: panic");
    process::exit(101)
}
