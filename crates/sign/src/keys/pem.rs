//! One PEM block and nothing around it (RFC 7468).

use pkcs8::der::pem;
use zeroize::Zeroizing;

use super::LoadError;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What a PEM block says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Private,
    Encrypted,
    Public,
}

impl Label {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Private => "PRIVATE KEY",
            Self::Encrypted => "ENCRYPTED PRIVATE KEY",
            Self::Public => "PUBLIC KEY",
        }
    }

    fn parse(text: &str) -> Result<Self, LoadError> {
        let all = [Self::Private, Self::Encrypted, Self::Public];
        if let Some(label) = all.into_iter().find(|label| label.text() == text) {
            return Ok(label);
        }
        // The forms OpenSSL wrote before PKCS#8 name the algorithm in the label.
        match text.strip_suffix(" PRIVATE KEY").or(text.strip_suffix(" PUBLIC KEY")) {
            Some(found @ ("RSA" | "EC" | "DSA")) => Err(LoadError::Algorithm { found: found.into() }),
            _ => {
                Err(LoadError::Label { found: text.escape_debug().to_string(), expected: "PRIVATE KEY or PUBLIC KEY" })
            }
        }
    }
}

/// A decoded PEM block.
pub(super) struct Block {
    pub(super) label: Label,
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// Decodes the one PEM block that `bytes` hold; white space around it is allowed.
pub(super) fn decode(bytes: &[u8]) -> Result<Block, LoadError> {
    let binary = if bytes.first() == Some(&0x30) { LoadError::Der } else { LoadError::NotPem };
    let Ok(text) = str::from_utf8(bytes) else {
        return Err(binary);
    };
    let text = text.trim_ascii();
    let count = text.matches(BEGIN).count();
    if count == 0 {
        return Err(LoadError::NotPem);
    }
    if count > 1 {
        return Err(LoadError::Several { count });
    }
    let Some(rest) = text.strip_prefix(BEGIN) else {
        return Err(LoadError::Text { place: "before" });
    };
    let damaged = |error| LoadError::Pem(error);
    let (label, rest) = rest.split_once(DASHES).ok_or(damaged(pem::Error::PreEncapsulationBoundary))?;
    let label = Label::parse(label)?;
    let end = rest
        .split_once(END)
        .and_then(|(_, end)| end.split_once(DASHES))
        .ok_or(damaged(pem::Error::PostEncapsulationBoundary))?;
    if !end.1.is_empty() {
        return Err(LoadError::Text { place: "after" });
    }
    let (_, der) = pem::decode_vec(text.as_bytes()).map_err(damaged)?;
    Ok(Block { label, der: Zeroizing::new(der) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = include_str!("../../../../keys/UNSAFE-test-release.pub.pem");
    const PRIVATE: &str = include_str!("../../../../keys/UNSAFE-test-release.pem");

    fn code(text: impl AsRef<[u8]>) -> &'static str {
        match decode(text.as_ref()) {
            Ok(block) => block.label.text(),
            Err(error) => error.code(),
        }
    }

    #[test]
    fn one_block_with_white_space_around_it_is_read() {
        assert_eq!(code(PUBLIC), "PUBLIC KEY");
        assert_eq!(code(PRIVATE), "PRIVATE KEY");
        assert_eq!(code(PUBLIC.trim_end()), "PUBLIC KEY");
        assert_eq!(code(format!("\n \n{PUBLIC}\r\n\n")), "PUBLIC KEY");
        assert_eq!(code(PUBLIC.replace('\n', "\r\n")), "PUBLIC KEY");
    }

    #[test]
    fn what_is_no_pem_is_refused() {
        assert_eq!(code(""), "key-not-pem");
        assert_eq!(code("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"), "key-not-pem");
        assert_eq!(code([0x80, 0xff]), "key-not-pem");
        assert_eq!(code([0x30, 0x2e, 0x02, 0x01, 0x00, 0xff]), "key-der");
    }

    #[test]
    fn text_around_the_block_is_refused() {
        assert_eq!(code(format!("my key\n{PUBLIC}")), "key-text");
        assert_eq!(code(format!("{PUBLIC}trailing")), "key-text");
        assert_eq!(code(format!("{PUBLIC}\0")), "key-text");
        assert_eq!(code(format!("{PUBLIC}{PRIVATE}")), "key-several");
        assert_eq!(code(format!("{PUBLIC}\n{PUBLIC}\n{PUBLIC}")), "key-several");
    }

    #[test]
    fn a_damaged_block_is_refused() {
        for cut in 0..PUBLIC.trim_end().len() {
            let got = code(&PUBLIC[..cut]);
            assert!(["key-not-pem", "key-pem"].contains(&got), "cut {cut}: {got}");
        }
        assert_eq!(code(PUBLIC.replace("MCow", "MC!w")), "key-pem");
        assert_eq!(code(PUBLIC.replace("END PUBLIC", "END PRIVATE")), "key-pem");
    }

    #[test]
    fn another_label_is_named() {
        let label = |to| decode(PRIVATE.replace("PRIVATE KEY", to).as_bytes()).err().unwrap().to_string();
        assert!(label("RSA PRIVATE KEY").contains("a key for RSA"));
        assert!(label("EC PRIVATE KEY").contains("a key for EC"));
        assert!(label("CERTIFICATE").contains("holds a \"CERTIFICATE\""));
        assert!(label("\x1b[2J").contains(r"\u{1b}[2J"), "the terminal must not obey a file");
    }
}
