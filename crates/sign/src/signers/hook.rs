//! Keys behind a program: `--sign-cmd`.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::{SignReason, Signer};
use crate::keys::PublicKey;

/// A program that signs: it gets the octets on stdin, gives 64 raw octets on stdout, and ends with status 0.
#[derive(Debug)]
pub struct Hook {
    command: String,
    public: PublicKey,
}

impl Hook {
    /// `command`, run by the shell, signs for the key `public`. Its stderr is ours.
    #[must_use]
    pub const fn new(command: String, public: PublicKey) -> Self {
        Self { command, public }
    }

    fn run(&self, message: &[u8]) -> io::Result<(ExitStatus, Vec<u8>)> {
        let mut child =
            Command::new("sh").args(["-c", &self.command]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let given = give(&mut child, message);
        let mut signature = Vec::new();
        // One octet more than a signature, so that it is told from what goes on.
        let taken = child.stdout.take().map_or(Ok(0), |stdout| stdout.take(65).read_to_end(&mut signature));
        let status = child.wait()?;
        given.and(taken)?;
        Ok((status, signature))
    }
}

/// Writes the message; a program that does not read it all may still sign, and its signature tells.
fn give(child: &mut Child, message: &[u8]) -> io::Result<()> {
    match child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(message)) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

impl Signer for Hook {
    fn public(&self) -> PublicKey {
        self.public.clone()
    }

    fn name(&self) -> String {
        format!("key {} (--sign-cmd {:?})", self.public.key_id(), self.command)
    }

    fn ask(&self, message: &[u8]) -> Result<[u8; 64], SignReason> {
        let (status, signature) = self.run(message).map_err(SignReason::Command)?;
        let len = signature.len();
        // A program that writes on is stopped, which is no fault to tell of.
        if !status.success() && len <= 64 {
            return Err(SignReason::Status { status });
        }
        signature.try_into().map_err(|_| SignReason::Length { len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use crate::signers::sign;

    fn run(command: &str, message: &[u8]) -> Result<[u8; 64], &'static str> {
        let public = SecretKey::from_seed(&[7; 32]).unwrap().public();
        sign(&Hook::new(command.into(), public), message).map_err(|error| error.reason.code())
    }

    #[test]
    fn only_a_valid_signature_is_taken() {
        let signature = SecretKey::from_seed(&[7; 32]).unwrap().sign(b"message");
        let octal = signature.iter().fold(String::new(), |text, octet| text + &format!("\\{octet:03o}"));
        let print = format!("printf '{octal}'");
        assert_eq!(run(&print, b"message"), Ok(signature));
        assert_eq!(run(&print, b"another message"), Err("sign-invalid"));
        assert_eq!(run(&format!("{print}; exit 3"), b"message"), Err("sign-status"));
        assert_eq!(run(&format!("{print}; echo"), b"message"), Err("sign-length"));
        assert_eq!(run("head -c 63 /dev/zero", b"message"), Err("sign-length"));
        assert_eq!(run("head -c 64 /dev/zero", b"message"), Err("sign-invalid"));
        assert_eq!(run("true", &vec![0; 1 << 20]), Err("sign-length"), "it reads nothing and ends");
        assert_eq!(run("/nonexistent/program", b"message"), Err("sign-status"));
    }
}
