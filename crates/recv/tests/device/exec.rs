//! Images handed to a program: whatever happens it gets them whole, and until it has succeeded.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::rc::Rc;

use fleetcast_core::time::Instant;
use fleetcast_install::record::Reason;
use fleetcast_install::sim::SimDisk;
use fleetcast_install::{
    Backend, Disk, DiskFile as _, ExecBackend, HandOver, Loaded, ProgramError, ReleaseId, durable, load,
};
use fleetcast_recv::device::{DeviceError, Outcome, Standing};
use rustix::io::Errno;

use super::bench::{Job, Running, STATE, TARGETS, config, failing, files, image, reboots, seed};

const INSTALLED: &str = "/data/installed";

/// Copies what it gets to a file of its own, as an installer would, and answers from a table.
#[derive(Clone, Debug)]
struct Installer<D> {
    disk: D,
    /// What is asked for later.
    later: Rc<RefCell<u32>>,
    status: &'static str,
    asked: Rc<RefCell<VecDeque<String>>>,
}

impl<D: Disk> Installer<D> {
    fn new(disk: &D, status: &'static str) -> Self {
        Self { disk: disk.clone(), later: Rc::default(), status, asked: Rc::default() }
    }

    fn backend(&self, has_trial: bool) -> Box<dyn Backend<D>>
    where
        D: 'static,
    {
        let names = TARGETS.iter().map(|(name, path, _)| (PathBuf::from(path), (*name).to_owned())).collect();
        Box::new(ExecBackend::new(self.disk.clone(), self.clone(), names, has_trial))
    }
}

impl<D: Disk> HandOver for Installer<D> {
    fn ask(&self, release: &ReleaseId, args: &[OsString]) -> Result<String, ProgramError> {
        let verb = args[0].to_str().unwrap().to_owned();
        let failed = || ProgramError::Later { path: "/installer".into(), verb: verb.clone() };
        self.asked.borrow_mut().push_back(verb.clone());
        if verb == "install" {
            if *self.later.borrow() > 0 {
                *self.later.borrow_mut() -= 1;
                return Err(failed());
            }
            assert_eq!(release.version, "1.0");
            let mut all = Vec::new();
            for arg in &args[1..] {
                let (_, path) = arg.to_str().unwrap().split_once('=').unwrap();
                // Nobody else has it open.
                let file = self.disk.open_locked(Path::new(path)).map_err(|_| failed())?;
                let mut image = vec![0; usize::try_from(file.size().map_err(|_| failed())?).unwrap()];
                file.read_at(0, &mut image).map_err(|_| failed())?;
                all.extend(image);
            }
            durable::replace(&self.disk, Path::new(INSTALLED), &all).map_err(|_| failed())?;
        }
        Ok(if verb == "status" { self.status.into() } else { String::new() })
    }
}

fn job() -> Job {
    Job::made(1, &[("rootfs", image(1, 64 * 20)), ("kernel", image(2, 64 * 9 + 5))])
}

fn run<D: Disk + 'static>(disk: &D, packets: &[Vec<u8>]) -> Result<Outcome, DeviceError> {
    let mut running = Running::start_with(disk, Installer::new(disk, "").backend(false), &config())?;
    running.feed(packets.to_vec())
}

fn installed(disk: &SimDisk) -> Option<Vec<u8>> {
    disk.files().get(Path::new(INSTALLED)).map(|(_, bytes)| bytes.clone())
}

#[test]
fn power_is_cut_before_every_operation_and_the_program_gets_the_same_images_again() {
    let (job, seed) = (job(), seed());
    let images = [image(1, 64 * 20), image(2, 64 * 9 + 5)].concat();
    let packets: Vec<_> = job.lossy(0.1, 3).collect();
    let first = super::bench::disk();
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        assert_eq!(run(disk, &packets).unwrap(), Outcome::Installed);
    });
    for cut in 0..operations {
        let (cut_off, _) = failing(first.fork(), cut..u64::MAX, Errno::IO, |disk| drop(run(disk, &packets)));
        for after in reboots(&cut_off, seed ^ cut) {
            assert!(installed(&after).is_none_or(|found| found == images), "cut {cut}");
            let outcome = run(&after, &packets).unwrap();
            assert_ne!(outcome, Outcome::Going);
            assert_eq!(installed(&after), Some(images.clone()));
            let _ = run(&after, &[]).unwrap();
            assert_eq!((files(&after, ".part").len(), files(&after, "scratch").len()), (0, 0), "nothing is left");
        }
    }
    println!("{operations} operations");
}

/// A device that starts what is installed, if anything is, and an installer that can be asked what became of it.
#[derive(Clone, Debug)]
struct Started<D> {
    installer: Installer<D>,
    /// The new release was there when the device started.
    is_new: bool,
}

impl<D: Disk> HandOver for Started<D> {
    fn ask(&self, release: &ReleaseId, args: &[OsString]) -> Result<String, ProgramError> {
        let has_it = matches!(self.installer.disk.stat(Path::new(INSTALLED)), Ok(Some(_)));
        match args[0].to_str().unwrap() {
            "install" => assert!(!self.is_new, "installed from inside itself, over the way back"),
            // Of a release it never got it knows nothing.
            "status" if !has_it => {
                let status = ExitStatus::from_raw(1 << 8);
                return Err(ProgramError::Failed { path: "/installer".into(), verb: "status".into(), status });
            }
            "status" => return Ok(if self.is_new { "new" } else { "pending" }.into()),
            _ => {}
        }
        self.installer.ask(release, args)
    }
}

fn run_on_trial<D: Disk + 'static>(
    disk: &D,
    is_new: bool,
    packets: &[Vec<u8>],
) -> Result<(Outcome, Standing), DeviceError> {
    let program = Started { installer: Installer::new(disk, ""), is_new };
    let names = TARGETS.iter().map(|(name, path, _)| (PathBuf::from(path), (*name).to_owned())).collect();
    let backend = Box::new(ExecBackend::new(disk.clone(), program, names, true));
    let mut running = Running::start_with(disk, backend, &config())?;
    let outcome = running.feed(packets.to_vec())?;
    Ok((outcome, running.device.standing()))
}

#[test]
fn a_release_on_trial_is_never_installed_from_inside_itself_wherever_power_is_cut() {
    let (job, seed) = (job(), seed());
    let packets: Vec<_> = job.lossy(0.1, 3).collect();
    let first = super::bench::disk();
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        assert_eq!(run_on_trial(disk, false, &packets).unwrap(), (Outcome::OnTrial, Standing::AwaitsStart));
    });
    let (mut from_new, mut again) = (0, 0);
    for cut in 0..operations {
        let (cut_off, _) = failing(first.fork(), cut..u64::MAX, Errno::IO, |disk| {
            drop(run_on_trial(disk, false, &packets));
        });
        for after in reboots(&cut_off, seed ^ cut) {
            let is_new = installed(&after).is_some();
            let (_, standing) = run_on_trial(&after, is_new, &packets).unwrap();
            *(if is_new { &mut from_new } else { &mut again }) += 1;
            assert_eq!(standing, if is_new { Standing::Trying } else { Standing::AwaitsStart }, "cut {cut}");
            assert_eq!((files(&after, ".part").len(), files(&after, "scratch").len()), (0, 0), "nothing is left");
        }
    }
    println!("{operations} operations, {from_new} starts into the new release, {again} into the old one");
    assert!(from_new > 0 && again > 0);
}

#[test]
fn a_program_that_asks_for_later_is_asked_again_with_the_same_images() {
    let job = job();
    let disk = super::bench::disk();
    let installer = Installer::new(&disk, "");
    *installer.later.borrow_mut() = 2;
    let mut running = Running::start_with(&disk, installer.backend(false), &config()).unwrap();
    assert_eq!(running.feed(job.packets(0).take(200)).unwrap(), Outcome::Going);
    let mut look = |seconds: u64| {
        let Running { device, events, .. } = &mut running;
        device.look(Instant::from_micros(seconds * 1_000_000), 0, &mut |event| events.push(event)).unwrap()
    };
    assert_eq!((look(30), look(70), look(100)), (Outcome::Going, Outcome::Going, Outcome::Going));
    assert_eq!(look(140), Outcome::Installed);
    assert_eq!(*installer.asked.borrow(), ["install", "install", "install"]);
}

#[test]
fn a_release_that_was_handed_over_on_trial_is_committed_given_up_or_lost() {
    let job = job();
    for (status, standing) in
        [("new", Standing::Trying), ("pending", Standing::AwaitsStart), ("old", Standing::Settled)]
    {
        let disk = super::bench::disk();
        let installer = Installer::new(&disk, status);
        let mut running = Running::start_with(&disk, installer.backend(true), &config()).unwrap();
        assert_eq!(running.feed(job.packets(0).take(200)).unwrap(), Outcome::OnTrial);
        assert_eq!(running.device.record().installed, None);
        drop(running);
        let mut running = Running::start_with(&disk, installer.backend(true), &config()).unwrap();
        assert_eq!(running.device.standing(), standing);
        match status {
            "new" => {
                running.device.commit(&mut |_| {}).unwrap();
                assert_eq!(running.device.record().installed.as_ref().map(|release| release.sequence), Some(1));
            }
            "pending" => {
                assert_eq!(running.device.commit(&mut |_| {}).unwrap_err().code(), "not-started");
                assert!(!running.device.roll_back(Reason::Asked, &mut |_| {}).unwrap());
                assert_eq!(installer.asked.borrow().back().unwrap(), "rollback");
            }
            _ => {
                let failed = running.device.record().failed.as_ref();
                assert_eq!(failed.map(|failed| failed.reason), Some(Reason::FellBack));
            }
        }
        let Loaded::Ok(record) = load(&disk, Path::new(STATE)).unwrap() else { panic!("no record") };
        assert!(record.trial().is_none());
    }
}
