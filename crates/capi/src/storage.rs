//! What a receiver needs of the storage that its caller has.

/// Why a storage did not do what was asked: a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(pub i32);

/// A small thing that is kept whole across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Item {
    /// What the device remembers of its releases. Without it an older release may be taken again.
    Record = 0,
    /// The manifest of the release being received.
    Statement = 1,
    /// The roots that have followed.
    Roots = 2,
    /// The newest beacon.
    Beacon = 3,
}

/// A large thing of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Area {
    /// The image that is being received.
    Image = 0,
    /// Pages and repair chunks, of no use once the image is installed.
    Scratch = 1,
}

/// Octets that a release needs for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Number of the target.
    pub target: u32,
    /// Octets of the image.
    pub image: u64,
    /// Octets of the scratch area.
    pub scratch: u64,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum EventKind {
    /// A release is being received from now on.
    Begin = 0,
    /// The release that was being received before a restart is gone on with.
    Resumed = 1,
    /// Enough of the release is there.
    Complete = 2,
    /// The release being received is not acceptable any longer.
    Abandoned = 3,
    /// A genuine release is not for this device.
    Refused = 4,
    /// Two releases have one number: a signing key may be misused \[M-5\].
    Alarm = 5,
    /// There is no room for a release, or not for all that would help.
    NoRoom = 6,
    /// A root has followed.
    Root = 7,
    /// There is a later beacon.
    Beacon = 8,
    /// How current things are has changed.
    Freshness = 9,
    /// What is stored did not read back as it was written.
    Mismatch = 10,
    /// Roots that were kept do not follow, or cannot be kept, and must come again.
    RootsLost = 11,
}

/// What has happened, and to which release or root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Sequence of the release, version of the root, or 0.
    pub number: u64,
    /// A word of spec §12 that says why or which, or an empty one.
    pub code: &'static str,
}

/// Where a device keeps things, and who is told what happens.
pub trait Storage {
    /// Reads an item of at most `most` octets; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Fault`]; what cannot be read is never as if it were not there.
    fn load(&mut self, item: Item, most: usize) -> Result<Option<Vec<u8>>, Fault>;

    /// Replaces an item, in one step that power cannot cut in two, and returns when it is durable. Empty removes it.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), Fault>;

    /// Makes room for a release. What the areas have stays if `is_resumed`, else it is of no more use. `false` if there is no room; all is as
    /// before then.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    fn prepare(&mut self, rooms: &[Room], is_resumed: bool) -> Result<bool, Fault>;

    /// Fills `buf`. What was never written may read as anything.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    fn read(&mut self, area: Area, target: u32, offset: u64, buf: &mut [u8]) -> Result<(), Fault>;

    /// Writes.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    fn write(&mut self, area: Area, target: u32, offset: u64, bytes: &[u8]) -> Result<(), Fault>;

    /// Makes all that was written durable.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    fn flush(&mut self) -> Result<(), Fault>;

    /// Takes an event.
    fn tell(&mut self, event: Event);
}
