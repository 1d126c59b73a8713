//! What outlives a datagram: the record, the kept statement, and the storage of the release being received.

use std::path::PathBuf;

use fleetcast_core::manifest::{Manifest, Token};
use fleetcast_core::session::{Action, RefuseReason};
use fleetcast_core::trust::{MAX_STATEMENT, Verified};
use fleetcast_core::wire::PageKind;
use fleetcast_install::exec::environment;
use fleetcast_install::record::{Component, Reason};
use fleetcast_install::{
    Backend, Disk, Fault, Installed, Plan, Program, ProgramError, Record, Recovery, ReleaseId, Scratch, Staging, State,
    durable,
};

use super::{DeviceError, Outcome, Standing, Tell};
use crate::config::{Config, Hooks, TargetPlace};
use crate::events::{Event, Release};
use crate::storage::{Ready, Storage, is_failing};

/// Why an action was not carried out, nor those behind it.
pub(super) enum Stop {
    /// The storage cannot take the release that was to begin, which is told; what was being received is as it was.
    Declined,
    /// The storage failed.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Name of the file with the statement of the release being received.
pub(crate) const STATEMENT: &str = "statement";

/// Carries out what the receive session asks for.
pub(super) struct Keeper<D: Disk> {
    state: State<D>,
    backend: Box<dyn Backend<D>>,
    targets: Vec<TargetPlace>,
    hooks: Hooks,
    seeds: Vec<PathBuf>,
    /// Where the statement of the release being received is kept.
    statement: PathBuf,
    /// `None` while no release is being received.
    pub(super) storage: Option<Storage<D>>,
    /// The release of that storage.
    release: Option<ReleaseId>,
    /// Pages that chunks wait for.
    pub(super) wanted_pages: Vec<(u8, u32)>,
    /// Pages that were kept since somebody asked.
    pub(super) new_pages: Vec<(PageKind, u8, u32)>,
    /// A release has begun.
    pub(super) has_begun: bool,
    /// A file of the release being received failed; another in its place may not.
    pub(super) failing: Option<Fault>,
    /// All that is needed is there.
    pub(super) is_complete: bool,
    /// The manifest of the installed release has come.
    pub(super) heard_installed: bool,
    /// What is known of a release on trial.
    pub(super) standing: Standing,
}

impl<D: Disk> Keeper<D> {
    /// Opens the state folder, completes or withdraws an interrupted install, and finds out what became of a trial.
    pub(super) fn open(
        disk: &D,
        backend: Box<dyn Backend<D>>,
        config: &Config,
        seed: [u8; 16],
        tell: Tell<'_>,
    ) -> Result<(Self, Outcome), DeviceError> {
        let state = State::open(disk.clone(), &config.state, seed)?;
        let statement = config.state.join(STATEMENT);
        durable::remove_leftovers(disk, &statement)?;
        let mut keeper = Self {
            state,
            backend,
            targets: config.targets.clone(),
            hooks: config.hooks.clone(),
            seeds: config.seeds.clone(),
            statement,
            storage: None,
            release: None,
            wanted_pages: Vec::new(),
            new_pages: Vec::new(),
            has_begun: false,
            failing: None,
            is_complete: false,
            heard_installed: false,
            standing: Standing::Settled,
        };
        let outcome = keeper.recover(tell)?;
        Ok((keeper, outcome))
    }

    pub(super) fn record(&self) -> &Record {
        self.state.record()
    }

    pub(super) fn disk(&self) -> &D {
        self.state.disk()
    }

    /// Images that may have chunks of a new image for a target.
    pub(super) fn seeds(&self, target: &Token) -> Vec<PathBuf> {
        let place = self.targets.iter().find(|place| place.name == *target);
        place.and_then(|place| self.backend.old_image(&place.path)).into_iter().chain(self.seeds.clone()).collect()
    }

    /// Asks the hook whether the release that is complete may be installed now.
    pub(super) fn may_install(&self) -> Result<(), ProgramError> {
        match (&self.hooks.before_install, &self.release) {
            (Some(hook), Some(release)) => hook.run(&["before-install".into()], &environment(release)).map(drop),
            _ => Ok(()),
        }
    }

    /// Tells a hook what has happened to a release.
    fn call(hook: Option<&Program>, verb: &str, release: &ReleaseId, tell: Tell<'_>) {
        if let Some(hook) = hook
            && let Err(error) = hook.run(&[verb.into()], &environment(release))
        {
            tell(Event::Warning { code: error.code(), reason: error.to_string() });
        }
    }

    /// Reads the record anew: a command may have changed it. True if one has.
    pub(super) fn refresh(&mut self, tell: Tell<'_>) -> Result<bool, Fault> {
        let before = (self.record().installed.clone(), self.record().failed.clone());
        if !self.state.refresh()? {
            return Ok(false);
        }
        if let Some(release) = self.record().installed.as_ref().filter(|_| self.record().installed != before.0) {
            tell(Event::Committed { release: release.into() });
        }
        if let Some(failed) = self.record().failed.as_ref().filter(|_| self.record().failed != before.1) {
            tell(Event::given_up(&failed.release, failed.reason));
        }
        if self.record().trial().is_none() {
            self.standing = Standing::Settled;
        }
        Ok(true)
    }

    /// Makes the release on trial the one that stays.
    pub(super) fn commit(&mut self, tell: Tell<'_>) -> Result<(), Fault> {
        let release = self.backend.commit(&mut self.state)?;
        self.standing = Standing::Settled;
        tell(Event::Committed { release: (&release).into() });
        Self::call(self.hooks.after_commit.as_ref(), "after-commit", &release, tell);
        Ok(())
    }

    /// Gives up the release on trial. True if it still runs, so that the device must be restarted.
    pub(super) fn roll_back(&mut self, reason: Reason, tell: Tell<'_>) -> Result<bool, Fault> {
        let given_up = self.backend.roll_back(&mut self.state, reason)?;
        self.standing = Standing::Settled;
        tell(Event::given_up(&given_up.release, reason));
        Self::call(self.hooks.after_rollback.as_ref(), "after-rollback", &given_up.release, tell);
        Ok(given_up.still_runs)
    }

    /// Completes or withdraws what was interrupted.
    pub(super) fn recover(&mut self, tell: Tell<'_>) -> Result<Outcome, Fault> {
        match self.backend.recover(&mut self.state) {
            Ok(Recovery::Completed { release, .. }) => {
                tell(Event::Installed { release: Release::from(&release), recovered: true });
                return Ok(Outcome::Installed);
            }
            Ok(Recovery::Withdrawn { release, .. }) => {
                let reason = format!("the interrupted install of {} is withdrawn, and done again", release.version);
                tell(Event::Warning { code: "install-withdrawn", reason });
            }
            Ok(Recovery::Trying { release }) => {
                self.standing = Standing::Trying;
                tell(Event::OnTrial { release: (&release).into(), runs: true });
            }
            Ok(Recovery::AwaitsStart { release }) => {
                self.standing = Standing::AwaitsStart;
                tell(Event::OnTrial { release: (&release).into(), runs: false });
            }
            Ok(Recovery::Elsewhere { release, current }) => {
                let reason = format!(
                    "slot {current} runs, but {} was committed in the other: the device went back from it; sign what is to \
                     run anew, with a higher sequence",
                    release.version
                );
                tell(Event::Alarm { sequence: release.sequence, code: "other-slot", reason });
            }
            Ok(Recovery::GivenUp { release, reason }) => {
                tell(Event::given_up(&release, reason));
                Self::call(self.hooks.after_rollback.as_ref(), "after-rollback", &release, tell);
            }
            Ok(_) => {}
            // Only receiving the same release again, or one that covers it, mends this.
            Err(fault @ Fault::Torn { .. }) => {
                let sequence = self.record().pending().map_or(0, |plan| plan.release.sequence);
                tell(Event::Alarm { sequence, code: fault.code(), reason: fault.to_string() });
            }
            Err(fault) => return Err(fault),
        }
        Ok(Outcome::Going)
    }

    /// The statement of the release that was being received. What cannot be one counts as none.
    pub(super) fn kept_statement(&self) -> Result<Option<Vec<u8>>, Fault> {
        let max = u32::try_from(MAX_STATEMENT).unwrap_or(u32::MAX);
        match durable::read_bounded(self.state.disk(), &self.statement, max) {
            Err(Fault::TooLarge { .. }) => Ok(None),
            statement => statement,
        }
    }

    /// Removes the kept statement, if there is one.
    pub(super) fn forget_statement(&self) -> Result<(), Fault> {
        match self.state.disk().remove(&self.statement) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Fault::Io { operation: "remove", path: self.statement.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// Removes what other releases than `keep` left, but for an install that could not be completed.
    pub(super) fn remove_stale(&self, keep: Option<&[u8; 32]>) -> Result<(), Fault> {
        let pending = self.record().pending().map(|plan| &plan.release.manifest);
        let keep = keep.or(pending);
        Scratch::remove_stale(self.state.disk(), self.state.folder(), keep)?;
        let remove = |target: &TargetPlace| self.backend.remove_stale(self.state.disk(), &target.path, keep).map(drop);
        self.targets.iter().try_for_each(remove)
    }

    /// Carries out one action.
    pub(super) fn act(&mut self, action: &Action<'_>, tell: Tell<'_>) -> Result<(), Stop> {
        match *action {
            Action::Begin { manifest } => self.begin(manifest, tell)?,
            Action::Follow { manifest } => self.follow(manifest)?,
            Action::Write { component, offset, bytes } => {
                let done = self.storage()?.write(component, offset, bytes);
                self.note_failing(done)?;
            }
            Action::StoreRepair { component, number, bytes } => {
                let done = self.storage()?.store_repair(component, number, bytes);
                self.note_failing(done)?;
            }
            Action::StorePage { kind, component, cell, payload } => {
                let done = self.storage()?.store_page(kind, component, cell, payload);
                self.note_failing(done)?;
                self.new_pages.push((kind, component, cell));
            }
            Action::LoadPage { component, cell } => self.wanted_pages.push((component, cell)),
            Action::Complete => self.is_complete = true,
            Action::Abandon { sequence, reason } => {
                tell(Event::Refused { sequence, code: reason.code(), reason: reason.to_string() });
                self.discard()?;
                self.forget_statement()?;
                self.is_complete = false;
            }
            Action::Root { .. } | Action::Beacon { .. } => {}
            Action::Refused { reason: RefuseReason::Installed { .. }, .. } => self.heard_installed = true,
            Action::Refused { sequence, reason } => {
                let (code, text) = (reason.code(), reason.to_string());
                tell(match reason {
                    RefuseReason::Equivocation { .. } => Event::Alarm { sequence, code, reason: text },
                    _ => Event::Refused { sequence, code, reason: text },
                });
            }
        }
        Ok(())
    }

    /// The storage of the release being received; the session asks for it only while there is one.
    pub(super) fn storage(&mut self) -> Result<&mut Storage<D>, Fault> {
        self.storage.as_mut().ok_or(Fault::NoComponent { component: 0, count: 0 })
    }

    /// Notes a failure that other files for the release may mend, in place of giving it back.
    pub(super) fn note_failing(&mut self, done: Result<(), Fault>) -> Result<(), Fault> {
        match done {
            Err(fault) if is_failing(&fault) => {
                self.failing.get_or_insert(fault);
                Ok(())
            }
            done => done,
        }
    }

    /// Removes the files of the release being received.
    pub(super) fn discard(&mut self) -> Result<(), Fault> {
        self.wanted_pages.clear();
        let Some(storage) = self.storage.take() else { return Ok(()) };
        let (staging, scratch) = storage.into_files();
        self.backend.discard(staging)?;
        scratch.into_iter().try_for_each(Scratch::remove)
    }

    /// Prepares storage for a release. If it cannot be taken, what was being received is left as it is.
    ///
    /// The statement comes last: with it the files it speaks of survive a power cut. Files without it are removed at the
    /// next start; a statement whose files are gone costs nothing.
    pub(super) fn begin(&mut self, manifest: &Verified<Manifest>, tell: Tell<'_>) -> Result<(), Stop> {
        let digest = manifest.payload_digest();
        let (plan, mut staging) = match self.stage(manifest) {
            Err(fault) if fault.is_refusal() => {
                tell(Event::Refused { sequence: manifest.sequence, code: fault.code(), reason: fault.to_string() });
                return Err(Stop::Declined);
            }
            staged => staged?,
        };
        self.storage = None;
        self.failing = None;
        self.wanted_pages.clear();
        self.is_complete = false;
        self.has_begun = true;
        self.remove_stale(Some(digest))?;
        staging.flush()?;
        let (disk, folder) = (self.state.disk(), self.state.folder());
        self.storage = Some(Storage::open(disk, folder, digest, manifest, staging)?);
        if self.kept_statement()?.is_none_or(|kept| kept != manifest.statement()) {
            durable::replace(disk, &self.statement, manifest.statement())?;
        }
        self.release = Some(plan.release);
        let geometries = || manifest.components.iter().map(|component| &component.geometry);
        tell(Event::Begin {
            release: manifest.into(),
            tsi: manifest.tsi().to_string(),
            needed: geometries().map(|g| u64::from(g.source_chunks())).sum(),
            octets: geometries().map(fleetcast_core::tree::Geometry::size).sum(),
        });
        Ok(())
    }

    /// Remembers a release as the highest seen, so that no restart falls for an older one.
    fn follow(&mut self, manifest: &Verified<Manifest>) -> Result<(), Fault> {
        self.state.update(|record| record.see(manifest.sequence, *manifest.payload_digest())).map(drop)
    }

    /// Makes proven images the ones that run, and clears away what was needed for it.
    pub(super) fn install(&mut self, ready: Ready<D>, tell: Tell<'_>) -> Result<Installed, Fault> {
        let installed = self.backend.install(&mut self.state, ready.images)?;
        let cleared = ready.scratch.into_iter().try_for_each(Scratch::remove).and_then(|()| self.forget_statement());
        if let Some(id) = self.release.take() {
            let release = Release::from(&id);
            tell(match installed {
                Installed::Committed => Event::Installed { release, recovered: false },
                Installed::OnTrial => Event::OnTrial { release, runs: false },
            });
            Self::call(self.hooks.after_install.as_ref(), "after-install", &id, tell);
        }
        if installed == Installed::OnTrial {
            self.standing = Standing::AwaitsStart;
        }
        if let Err(fault) = cleared {
            // The release is installed. The next start removes what is left.
            tell(Event::Warning { code: fault.code(), reason: fault.to_string() });
        }
        Ok(installed)
    }

    /// Finds out whether a release can be installed here, and opens room for it beside what other releases have.
    fn stage(&mut self, manifest: &Verified<Manifest>) -> Result<(Plan, Staging<D>), Fault> {
        let plan = self.plan(manifest)?;
        let keep = Some(manifest.payload_digest());
        let mut freed = Scratch::stale(self.state.disk(), self.state.folder(), keep)?;
        for target in &self.targets {
            freed.extend(self.backend.stale(&target.path, keep)?);
        }
        let staging = self.backend.stage(&mut self.state, &plan, &freed)?;
        Ok((plan, staging))
    }

    fn plan(&self, manifest: &Verified<Manifest>) -> Result<Plan, Fault> {
        let count = manifest.components.len();
        let component = |(number, c): (usize, &fleetcast_core::manifest::Component)| {
            let place = self.targets.iter().find(|place| place.name == c.target);
            // The policy has refused releases with other targets.
            let place = place.ok_or(Fault::NoComponent { component: number, count })?;
            Ok(Component { target: place.path.clone(), size: c.geometry.size(), sha256: c.sha256 })
        };
        Ok(Plan {
            release: ReleaseId {
                sequence: manifest.sequence,
                security_version: manifest.security_version,
                manifest: *manifest.payload_digest(),
                version: manifest.version.to_string(),
            },
            components: manifest.components.iter().enumerate().map(component).collect::<Result<_, Fault>>()?,
        })
    }
}
