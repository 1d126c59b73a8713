//! The `exec` backend: a program gets the verified images.
//!
//! | verb | what the program does |
//! | --- | --- |
//! | `install NAME=PATH...` | installs these images; may be repeated with the same ones |
//! | `status` | prints `new` if the release of the last install runs, `pending` if it runs from the next start on, `old` if the device fell back; fails if it knows nothing of this release |
//! | `commit` | keeps it |
//! | `rollback` | gives it up |
//!
//! The last three are for programs whose installs are on trial. Names are those of install targets. The environment has
//! `FLEETCAST_VERSION`, `FLEETCAST_SEQUENCE`, `FLEETCAST_SECURITY_VERSION` and `FLEETCAST_MANIFEST` (SHA-256 of the
//! manifest payload in hexadecimal). Exit codes: 0 done, 75 not now, all else failed.
//!
//! Images are received into partial files beside the paths of their targets. They stay until the program has succeeded:
//! after a power cut they are proven again, and the program is run again. If installs are on trial, only if `status` does not
//! print `new` or `pending`: what it prints must survive a power cut, and mean that `install` was completed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::backend::{Backend, Installed, Recovery, RolledBack};
use crate::disk::Disk;
use crate::fault::{At as _, Fault};
use crate::fixed::FixedFile;
use crate::program::{Program, ProgramError};
use crate::record::{Component, Phase, Plan, Reason, ReleaseId, Trial};
use crate::staging::{Proven, Staging};
use crate::state::State;
use crate::trial::{self, Chain, Whereabouts};
use crate::{partial, parts};

/// What takes over images: a program, or a simulated one.
pub trait HandOver: std::fmt::Debug {
    /// Asks it to do something for a release. Gives its answer.
    ///
    /// # Errors
    ///
    /// [`ProgramError`].
    fn ask(&self, release: &ReleaseId, args: &[OsString]) -> Result<String, ProgramError>;
}

impl HandOver for Program {
    fn ask(&self, release: &ReleaseId, args: &[OsString]) -> Result<String, ProgramError> {
        self.run(args, &environment(release))
    }
}

/// What programs are told about a release.
#[must_use]
pub fn environment(release: &ReleaseId) -> [(&'static str, String); 4] {
    [
        ("FLEETCAST_VERSION", release.version.clone()),
        ("FLEETCAST_SEQUENCE", release.sequence.to_string()),
        ("FLEETCAST_SECURITY_VERSION", release.security_version.to_string()),
        ("FLEETCAST_MANIFEST", release.manifest_hex()),
    ]
}

/// Hands images to a program. See the module's text.
#[derive(Debug)]
pub struct ExecBackend<D: Disk, H: HandOver> {
    disk: D,
    program: H,
    /// Targets and their names.
    names: Vec<(PathBuf, String)>,
    /// Releases must be committed.
    has_trial: bool,
}

impl<D: Disk, H: HandOver> ExecBackend<D, H> {
    /// A backend on a disk; `names` has the name of each target.
    pub fn new(disk: D, program: H, names: Vec<(PathBuf, String)>, has_trial: bool) -> Self {
        Self { disk, program, names, has_trial }
    }
}

impl<D: Disk, H: HandOver> ExecBackend<D, H> {
    /// Has the program install a release that must be committed.
    ///
    /// That it is about to is kept first. If power fails before its answer is, the program's `status` says what became of it:
    /// a release that runs is not installed once more from inside itself, over the way back.
    fn try_out(&self, state: &mut State<D>, release: &ReleaseId, args: &[OsString]) -> Result<(), Fault> {
        let _alone = state.lock_trial()?;
        trial::check_none(state.record())?;
        let trial = Trial { release: release.clone(), slot: None };
        state.update(|record| record.phase = Phase::Switching(trial.clone()))?;
        match self.program.ask(release, args) {
            Ok(_) => trial::leave(state, &trial, |record| {
                record.see(release.sequence, release.manifest);
                record.phase = Phase::Trial(trial.clone());
            }),
            Err(error) => {
                if !error.may_have_done_it() {
                    trial::leave(state, &trial, |record| record.phase = Phase::Idle)?;
                }
                Err(error.into())
            }
        }
    }
}

impl<D: Disk, H: HandOver> Chain for ExecBackend<D, H> {
    fn whereabouts(&self, trial: &Trial) -> Result<Whereabouts, Fault> {
        match &*self.program.ask(&trial.release, &["status".into()])? {
            "new" => Ok(Whereabouts::Runs),
            "pending" => Ok(Whereabouts::Awaits),
            "old" => Ok(Whereabouts::Gone),
            answer => Err(Fault::Answer { verb: "status", answer: answer.into(), expected: "new, pending or old" }),
        }
    }

    fn untold_whereabouts(&self, trial: &Trial) -> Result<Whereabouts, Fault> {
        match self.whereabouts(trial) {
            // It knows nothing of this release.
            Err(Fault::Program(ProgramError::Failed { status, .. })) if status.code().is_some() => {
                Ok(Whereabouts::Gone)
            }
            found => found,
        }
    }

    fn start_next(&self, _: &Trial) -> Result<(), Fault> {
        Ok(())
    }

    fn keep(&self, trial: &Trial) -> Result<(), Fault> {
        Ok(self.program.ask(&trial.release, &["commit".into()]).map(drop)?)
    }

    fn check_way_back(&self, _: &Trial) -> Result<(), Fault> {
        Ok(())
    }

    fn give_up(&self, trial: &Trial) -> Result<(), Fault> {
        Ok(self.program.ask(&trial.release, &["rollback".into()]).map(drop)?)
    }
}

impl<D: Disk, H: HandOver> Backend<D> for ExecBackend<D, H> {
    fn recover(&self, state: &mut State<D>) -> Result<Recovery, Fault> {
        trial::recover(self, state)
    }

    fn stage(&self, state: &mut State<D>, plan: &Plan, freed: &[PathBuf]) -> Result<Staging<D>, Fault> {
        trial::check_none(state.record())?;
        partial::open(&self.disk, plan, freed)
    }

    fn install(&self, state: &mut State<D>, images: Proven<D>) -> Result<Installed, Fault> {
        let mut staging = images.into_inner();
        // The names too: after a power cut the program gets the same images.
        staging.flush()?;
        let release = staging.plan().release.clone();
        let named = |(part, component): (&FixedFile<D>, &Component)| {
            let name = self.names.iter().find(|(target, _)| *target == component.target);
            (name.map_or("", |(_, name)| name), part.path().to_owned())
        };
        let images: Vec<_> = staging.parts().map(named).collect();
        let arg = |(name, path): &(&str, PathBuf)| {
            let mut arg = OsString::from(name);
            arg.push("=");
            arg.push(path);
            arg
        };
        let args: Vec<_> = std::iter::once("install".into()).chain(images.iter().map(arg)).collect();
        // Installers insist that nobody else has the file open: RAUC takes a lease on it.
        drop(staging);
        let installed = if self.has_trial {
            self.try_out(state, &release, &args)?;
            Installed::OnTrial
        } else {
            self.program.ask(&release, &args)?;
            state.update(|record| record.set_installed(&release))?;
            Installed::Committed
        };
        images.iter().try_for_each(|(_, path)| self.disk.remove(path).at("remove", path))?;
        Ok(installed)
    }

    fn commit(&self, state: &mut State<D>) -> Result<ReleaseId, Fault> {
        trial::commit(self, state)
    }

    fn roll_back(&self, state: &mut State<D>, reason: Reason) -> Result<RolledBack, Fault> {
        trial::roll_back(self, state, reason)
    }

    fn stale(&self, target: &Path, keep: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault> {
        parts::stale_staged(&self.disk, target, keep)
    }

    fn discard(&self, staging: Staging<D>) -> Result<(), Fault> {
        partial::discard(&self.disk, &staging)
    }

    fn old_image(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}
