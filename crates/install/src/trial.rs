//! The life of a release on trial, whatever starts it: see the table in [`crate::record`].

use crate::backend::{Recovery, RolledBack};
use crate::disk::Disk;
use crate::fault::Fault;
use crate::record::{Failed, Phase, Reason, Record, ReleaseId, Trial};
use crate::state::State;

/// Where a release on trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// It runs.
    Runs,
    /// It runs from the next start on.
    Awaits,
    /// What ran before runs, and will.
    Gone,
}

/// What starts releases on trial. Each method may be repeated.
pub(crate) trait Chain {
    fn whereabouts(&self, trial: &Trial) -> Result<Whereabouts, Fault>;
    /// As [`Chain::whereabouts`], of a release that boot loader or program may not have been told of.
    fn untold_whereabouts(&self, trial: &Trial) -> Result<Whereabouts, Fault> {
        self.whereabouts(trial)
    }
    /// The release runs from the next start on.
    fn start_next(&self, trial: &Trial) -> Result<(), Fault>;
    /// The release stays.
    fn keep(&self, trial: &Trial) -> Result<(), Fault>;
    /// Whether there is something to go back to.
    fn check_way_back(&self, trial: &Trial) -> Result<(), Fault>;
    /// From the next start on what ran before runs.
    fn give_up(&self, trial: &Trial) -> Result<(), Fault>;
}

/// Refuses another release while one is on trial.
pub(crate) fn check_none(record: &Record) -> Result<(), Fault> {
    match record.trial() {
        Some(trial) => Err(Fault::OnTrial { version: trial.release.version.clone() }),
        None => Ok(()),
    }
}

pub(crate) fn recover<D: Disk>(chain: &impl Chain, state: &mut State<D>) -> Result<Recovery, Fault> {
    let _alone = state.lock_trial()?;
    resume(chain, state)
}

fn resume<D: Disk>(chain: &impl Chain, state: &mut State<D>) -> Result<Recovery, Fault> {
    match state.record().phase.clone() {
        Phase::Idle | Phase::Installing(_) => Ok(Recovery::Nothing),
        Phase::Switching(trial) => match chain.untold_whereabouts(&trial)? {
            // Never told. What was received is still there, and will be proven again.
            Whereabouts::Gone => {
                leave(state, &trial, |record| record.phase = Phase::Idle)?;
                Ok(Recovery::Withdrawn { release: trial.release, lost: vec![] })
            }
            found => {
                if found == Whereabouts::Awaits {
                    // Who told it may have been killed before that was sure to survive a power cut.
                    chain.start_next(&trial)?;
                }
                leave(state, &trial, |record| record.phase = Phase::Trial(trial.clone()))?;
                resume(chain, state)
            }
        },
        Phase::Trial(trial) => match chain.whereabouts(&trial)? {
            Whereabouts::Runs => Ok(Recovery::Trying { release: trial.release }),
            Whereabouts::Awaits => Ok(Recovery::AwaitsStart { release: trial.release }),
            Whereabouts::Gone => give_up(chain, state, &trial, Reason::FellBack),
        },
        Phase::Returning(trial, reason) => give_up(chain, state, &trial, reason),
    }
}

pub(crate) fn commit<D: Disk>(chain: &impl Chain, state: &mut State<D>) -> Result<ReleaseId, Fault> {
    let _alone = state.lock_trial()?;
    resume(chain, state)?;
    let Phase::Trial(trial) = state.record().phase.clone() else { return Err(Fault::NoTrial) };
    if chain.whereabouts(&trial)? != Whereabouts::Runs {
        return Err(Fault::NotStarted { version: trial.release.version });
    }
    // The boot loader first: if power fails between both, the release is still on trial, and can be committed again.
    chain.keep(&trial)?;
    leave(state, &trial, |record| record.set_installed(&trial.release))?;
    Ok(trial.release)
}

pub(crate) fn roll_back<D: Disk>(
    chain: &impl Chain,
    state: &mut State<D>,
    reason: Reason,
) -> Result<RolledBack, Fault> {
    let _alone = state.lock_trial()?;
    // One that was begun and did not succeed may still run.
    let is_running = |trial| Ok::<_, Fault>(chain.whereabouts(trial)? == Whereabouts::Runs);
    let still_runs = state.record().trial().map_or(Ok(false), is_running)?;
    if let Recovery::GivenUp { release, .. } = resume(chain, state)? {
        return Ok(RolledBack { release, still_runs });
    }
    let Phase::Trial(trial) = state.record().phase.clone() else { return Err(Fault::NoTrial) };
    chain.check_way_back(&trial)?;
    leave(state, &trial, |record| record.phase = Phase::Returning(trial.clone(), reason))?;
    give_up(chain, state, &trial, reason)?;
    Ok(RolledBack { release: trial.release, still_runs })
}

fn give_up<D: Disk>(
    chain: &impl Chain,
    state: &mut State<D>,
    trial: &Trial,
    reason: Reason,
) -> Result<Recovery, Fault> {
    chain.give_up(trial)?;
    leave(state, trial, |record| {
        record.phase = Phase::Idle;
        record.failed = Some(Failed { release: trial.release.clone(), reason });
        if let Some(slot) = trial.slot {
            record.set_slot(slot, None);
        }
    })?;
    Ok(Recovery::GivenUp { release: trial.release.clone(), reason })
}

/// Changes the record, which has this trial: whoever would end it waits for the lock.
pub(crate) fn leave<D: Disk>(
    state: &mut State<D>,
    trial: &Trial,
    change: impl FnOnce(&mut Record),
) -> Result<(), Fault> {
    let is_same = state.update(|record| {
        let is_same = record.trial() == Some(trial);
        if is_same {
            change(record);
        }
        is_same
    })?;
    if is_same { Ok(()) } else { Err(Fault::NoTrial) }
}
