//! What the commands about a store have in common.

use fleetcast_cli::{CommandError, ErrorKind};

use crate::store::place::Place;
use crate::store::{Store, StoreError};

#[derive(clap::Args, Debug)]
pub(super) struct StoreArg {
    /// Store of releases: a folder, `file:///FOLDER`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`. A folder
    /// must exist. Credentials come from the environment, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT`,
    /// `GOOGLE_SERVICE_ACCOUNT` or `AZURE_STORAGE_ACCOUNT_NAME`
    #[arg(long, value_name = "URL", env = "FLEETCAST_STORE", value_parser = place)]
    store: Place,
}

impl StoreArg {
    /// Opens it.
    pub(super) fn open(&self) -> Result<Store, CommandError> {
        self.store.open().map_err(not_stored)
    }
}

/// Says what can be done about a store.
pub(super) fn not_stored(error: StoreError) -> CommandError {
    let (kind, hint) = match &error {
        StoreError::Name { .. } => (ErrorKind::Usage, None),
        StoreError::Access { .. } => {
            (ErrorKind::Failed, Some("a folder must exist; for a bucket look at the credentials in the environment"))
        }
        StoreError::Content { .. } => (ErrorKind::Refused, Some("remove that file from the store and publish again")),
        StoreError::Local { .. } => (ErrorKind::Failed, None),
    };
    CommandError::new(kind, error).hint_if(hint)
}

fn place(text: &str) -> Result<Place, StoreError> {
    text.parse()
}
