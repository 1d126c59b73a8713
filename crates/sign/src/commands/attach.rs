//! `attach`: a signature that was made elsewhere.

use std::fs::File;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};
use fleetcast_cli::keys::{load_public, read_bounded};
use fleetcast_cli::{CommandError, ErrorKind};

use super::sign::PacketArg;
use super::signed::Signed;
use crate::statement::{AttachError, StatementFile};

/// Octets of the largest file that is read as a signature.
const MAX_FILE: u64 = 1024;

/// Put a signature that was made elsewhere on a release file, a root or a beacon
///
/// Verifies the signature over the octets that `prepare` writes for this file and key, adds it to those that FILE has, and
/// replaces FILE in one step. Exit code 3 if it does not verify.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  A signature that came back over the air gap:
    fleetcast-sign attach 1.2.3.fleetcast --pub release-key.pub.pem --signature 1.2.3.sig")]
pub(super) struct Args {
    /// Release file, or statement file of a root or beacon
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Public half of the key that has signed
    #[arg(long = "pub", value_name = "FILE")]
    public: PathBuf,

    /// File with the signature: 64 raw octets, or the same as text in Base64 or hexadecimal
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,

    #[command(flatten)]
    packet: PacketArg,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let key = load_public(&self.public)?.tell();
        let signature = read(&self.signature)?;
        let mut file = StatementFile::open(&self.file)?;
        let room = self.packet.room(&file);
        file.statement.attach(&key, &signature, room).map_err(|error| match error {
            AttachError::Invalid { .. } => {
                let hint = error.hint();
                CommandError::new(ErrorKind::Refused, error).hint_if(hint)
            }
            error => error.into(),
        })?;
        file.save()?;
        Signed::new(&self.file, &file).tell(self.json)
    }
}

fn read(path: &Path) -> Result<[u8; 64], CommandError> {
    let failed = |error| CommandError::failed(format!("cannot read {}: {error}", path.display()));
    let bytes = File::open(path).and_then(|file| read_bounded(file, MAX_FILE)).map_err(failed)?;
    bytes.and_then(|bytes| decode(&bytes)).ok_or_else(|| {
        let hint = "a signature is 64 raw octets, or 128 hexadecimal digits, or 88 characters of Base64";
        CommandError::failed(format!("{} holds no Ed25519 signature", path.display())).hint(hint)
    })
}

/// The three forms differ in length, so one is never taken for another.
fn decode(bytes: &[u8]) -> Option<[u8; 64]> {
    if let Ok(raw) = bytes.try_into() {
        return Some(raw);
    }
    // Programs break long lines.
    let text: String = str::from_utf8(bytes).ok()?.split_ascii_whitespace().collect();
    let decoded = match text.len() {
        128 => {
            let digit = |octet: u8| char::from(octet).to_digit(16);
            let pair = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
            text.as_bytes().as_chunks().0.iter().map(pair).collect::<Option<Vec<_>>>()?
        }
        88 => Base64::decode_vec(&text).or_else(|_| Base64Url::decode_vec(&text)).ok()?,
        86 => Base64Unpadded::decode_vec(&text).or_else(|_| Base64UrlUnpadded::decode_vec(&text)).ok()?,
        _ => return None,
    };
    decoded.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetcast_cli::hex;

    #[test]
    fn a_signature_is_read_in_each_form() {
        let signature: [u8; 64] = std::array::from_fn(|i| u8::try_from(i * 4 + 3).unwrap_or(0xff));
        let base64 = Base64::encode_string(&signature);
        assert!(base64.contains(['+', '/']), "{base64}");
        let wrapped = format!("{}\r\n{}\n", &base64[..64], &base64[64..]);
        let texts = [
            hex(&signature),
            hex(&signature).to_uppercase() + "\n",
            base64.clone(),
            wrapped,
            base64.trim_end_matches('=').into(),
            Base64Url::encode_string(&signature),
            Base64UrlUnpadded::encode_string(&signature),
        ];
        assert_eq!(decode(&signature), Some(signature));
        for text in texts {
            assert_eq!(decode(text.as_bytes()), Some(signature), "{text}");
        }
        // Raw octets that look like text are raw octets.
        assert_eq!(decode(&[b'a'; 64]), Some([b'a'; 64]));
    }

    #[test]
    fn other_files_are_no_signature() {
        for bytes in [&b""[..], &[0; 63], &[0; 65], &[b'a'; 127], &[b'g'; 128], &[b'!'; 88], &[b'a'; 88], &[b'a'; 87]] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
