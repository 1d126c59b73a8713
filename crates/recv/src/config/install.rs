//! The tables `boot`, `exec`, `trial` and `hooks`: how images become those that run, and who is told.

use std::path::Path;
use std::time::Duration;

use fleetcast_cli::quantity;
use fleetcast_install::Program;
use toml::Spanned;

use super::file::{self, Command};
use super::settings::{Place, Source};
use super::{ConfigError, Hooks, Install, TargetPlace, TrialCare};

/// Time a boot adapter may take for each verb.
const BOOT_TIMEOUT: Duration = Duration::from_secs(30);
/// Time a program may take to install.
const EXEC_TIMEOUT: Duration = Duration::from_mins(10);
/// Time a hook, health check or restart may take.
const TIMEOUT: Duration = Duration::from_mins(1);
const ATTEMPTS: u8 = 3;
const INTERVAL: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_mins(10);

/// Which of the ways to install the targets and tables mean.
pub(super) fn install(
    source: &Source,
    targets: &[(TargetPlace, Place)],
    boot: Option<Spanned<file::Boot>>,
    exec: Option<Spanned<file::Exec>>,
) -> Result<Install, ConfigError> {
    let check_slots = |wanted: bool, why: &str| {
        let wrong = targets.iter().find(|(target, _)| target.slot_b.is_some() != wanted);
        wrong.map_or(Ok(()), |(target, at)| Err(at.wrong(format_args!("target {} {why}", target.name))))
    };
    match (boot, exec) {
        (Some(_), Some(exec)) => Err(source.place("exec", &exec).wrong("there is a table boot too; use one of both")),
        (Some(boot), None) => {
            check_slots(true, "has no `slots`, as targets must with a table boot")?;
            let file::Boot { adapter, attempts, timeout } = boot.into_inner();
            let attempts = match attempts {
                None => ATTEMPTS,
                Some(given) if (1..=9).contains(given.get_ref()) => given.into_inner(),
                Some(given) => return Err(source.place("attempts", &given).wrong("1 to 9 are possible")),
            };
            let limit = duration(source, "timeout", timeout, BOOT_TIMEOUT)?;
            Ok(Install::Slots { adapter: program(source, "adapter", adapter, limit)?, attempts })
        }
        (None, Some(exec)) => {
            check_slots(false, "has `slots`, as no target may with a table exec")?;
            let file::Exec { program: command, timeout, trial } = exec.into_inner();
            let limit = duration(source, "timeout", timeout, EXEC_TIMEOUT)?;
            Ok(Install::Exec { program: program(source, "program", command, limit)?, has_trial: trial })
        }
        (None, None) => {
            check_slots(false, "has `slots`, but there is no table boot that says how to start them")?;
            Ok(Install::File)
        }
    }
}

pub(super) fn trial(source: &Source, table: file::Trial) -> Result<TrialCare, ConfigError> {
    let limit = duration(source, "timeout", table.timeout, TIMEOUT)?;
    let program = |key, command: Option<Command>| command.map(|c| program(source, key, c, limit)).transpose();
    Ok(TrialCare {
        health_check: program("health-check", table.health_check)?,
        interval: duration(source, "interval", table.interval, INTERVAL)?,
        deadline: duration(source, "deadline", table.deadline, DEADLINE)?,
        restart: program("restart", table.restart)?,
    })
}

pub(super) fn hooks(source: &Source, table: file::Hooks) -> Result<Hooks, ConfigError> {
    let limit = duration(source, "timeout", table.timeout, TIMEOUT)?;
    let program = |key, command: Option<Command>| command.map(|c| program(source, key, c, limit)).transpose();
    Ok(Hooks {
        before_install: program("before-install", table.before_install)?,
        after_install: program("after-install", table.after_install)?,
        after_commit: program("after-commit", table.after_commit)?,
        after_rollback: program("after-rollback", table.after_rollback)?,
        on_stale: program("on-stale", table.on_stale)?,
    })
}

fn program(source: &Source, key: &str, command: Command, limit: Duration) -> Result<Program, ConfigError> {
    let at = source.place(key, &command);
    let mut words = command.into_inner().into_iter();
    let path = words.next().ok_or_else(|| at.wrong("the list is empty; name a program and its arguments"))?;
    if !Path::new(&path).is_absolute() {
        return Err(at.wrong(format_args!("{path:?} is no absolute path; no PATH is searched, and no shell is used")));
    }
    Ok(Program::new(path.into(), words.map(Into::into).collect(), limit))
}

pub(super) fn duration(
    source: &Source,
    key: &str,
    given: Option<Spanned<String>>,
    default: Duration,
) -> Result<Duration, ConfigError> {
    let Some(text) = given else { return Ok(default) };
    quantity::duration(text.get_ref()).map_err(|e| source.place(key, &text).wrong(e))
}
