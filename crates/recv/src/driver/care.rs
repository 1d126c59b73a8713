//! What is done about a release on trial: the health check commits it or not, and the device is restarted where it must be.

use fleetcast_core::time::Instant;
use fleetcast_install::program::Running;
use fleetcast_install::record::Reason;
use fleetcast_install::{Program, RealFs};

use super::end::Failure;
use crate::config::Config;
use crate::device::{Device, Standing};
use crate::events::Event;
use crate::progress::Reporter;

/// Checks the health of a release on trial, again and again until it is good or time is over.
#[derive(Debug)]
pub(super) struct Care {
    since: Instant,
    next: Instant,
    running: Option<Running>,
}

impl Care {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, next: now, running: None }
    }

    /// To be called about once a second.
    pub(super) fn look(
        &mut self,
        now: Instant,
        device: &mut Device<RealFs>,
        config: &Config,
        reporter: &mut Reporter,
    ) -> Result<(), Failure> {
        let care = &config.trial;
        let Some(check) = &care.health_check else { return Ok(()) };
        if device.standing() != Standing::Trying {
            self.running = None;
            return Ok(());
        }
        let ended = match &mut self.running {
            Some(running) => running.poll(),
            None if now >= self.next => {
                self.next = now.after(care.interval);
                check.start(&[], &[]).map(|running| {
                    self.running = Some(running);
                    None
                })
            }
            None => Ok(None),
        };
        let mut tell = |event| reporter.tell(&event);
        match ended {
            Ok(None) => {}
            Ok(Some(_)) => {
                self.running = None;
                return Ok(device.commit(&mut tell)?);
            }
            Err(error) => {
                self.running = None;
                tell(Event::Warning { code: "health", reason: error.to_string() });
            }
        }
        if now.since(self.since) >= care.deadline {
            self.running = None;
            if device.roll_back(Reason::Health, &mut tell)? {
                restart(config, reporter);
            }
        }
        Ok(())
    }
}

/// Restarts the device, if the settings say how.
pub(super) fn restart(config: &Config, reporter: &mut Reporter) {
    let Some(program) = &config.trial.restart else { return };
    reporter.tell(&Event::Restarting);
    if let Err(error) = Program::run(program, &[], &[]) {
        reporter.tell(&Event::Warning { code: error.code(), reason: error.to_string() });
    }
}
