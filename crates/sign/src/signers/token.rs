//! Keys in tokens (smart cards, HSMs) by PKCS#11. The private half never leaves the token.

mod error;
mod point;
mod uri;

use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use fleetcast_cli as cli;
use fleetcast_cli::keys::admit;

pub use error::{TokenError, TokenReason};
pub use uri::Uri;

use super::{SignReason, Signer};
use crate::keys::PublicKey;
use crate::passphrase::{Passphrase, obtain_pin};

/// A key in a token that is logged in to.
#[derive(Debug)]
pub struct TokenKey {
    session: Session,
    private: ObjectHandle,
    public: PublicKey,
    uri: Uri,
}

impl Signer for TokenKey {
    fn public(&self) -> PublicKey {
        self.public.clone()
    }

    fn name(&self) -> String {
        format!("key {} ({})", self.public.key_id(), self.uri)
    }

    fn ask(&self, message: &[u8]) -> Result<[u8; 64], SignReason> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        let signature = self.session.sign(&mechanism, self.private, message).map_err(SignReason::Token)?;
        let len = signature.len();
        signature.try_into().map_err(|_| SignReason::Length { len })
    }
}

/// The modules that were loaded, and what opens their tokens.
#[derive(Default)]
pub struct Tokens {
    /// The module of URIs that name none.
    module: Option<PathBuf>,
    pin_file: Option<PathBuf>,
    /// A file of PINs is read once: it may be a pipe.
    pin: Option<Passphrase>,
    /// A module is initialised once in a process.
    loaded: Vec<(PathBuf, Pkcs11)>,
}

impl Tokens {
    /// Tokens of `module`, unless a URI names another, whose PIN is in `pin_file`, unless a URI has another.
    #[must_use]
    pub fn new(module: Option<PathBuf>, pin_file: Option<PathBuf>) -> Self {
        Self { module, pin_file, ..Self::default() }
    }

    /// Finds the one key that `uri` describes, and logs in to its token.
    ///
    /// # Errors
    ///
    /// [`TokenError`]. A wrong PIN is never tried twice.
    pub fn key(&mut self, uri: &Uri) -> Result<TokenKey, TokenError> {
        self.open(uri).map_err(|reason| TokenError { uri: uri.to_string(), reason })
    }

    /// The public half of the one key that `uri` describes; logs in only if the token hides it until then.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key).
    pub fn public(&mut self, uri: &Uri) -> Result<PublicKey, TokenError> {
        let mut shown = || {
            let module = self.load(uri)?;
            let (slot, _) = token(&module, uri)?;
            let session = module.open_ro_session(slot)?;
            let objects = session.find_objects(&template(ObjectClass::PUBLIC_KEY, uri))?;
            let [object] = objects[..] else { return Ok(None) };
            let Some(public) = point_of(&session, object)? else { return Ok(None) };
            tell(&public, uri)?;
            Ok(Some(public))
        };
        match shown().map_err(|reason| TokenError { uri: uri.to_string(), reason })? {
            Some(public) => Ok(public),
            None => Ok(self.key(uri)?.public),
        }
    }

    fn open(&mut self, uri: &Uri) -> Result<TokenKey, TokenReason> {
        let module = self.load(uri)?;
        let (slot, info) = token(&module, uri)?;
        let session = module.open_ro_session(slot)?;
        self.log_in(&session, &info, uri)?;
        let label = info.label().to_owned();
        let private = private_key(&session, &label, uri)?;
        let public = public_half(&session, &label, private)?;
        tell(&public, uri)?;
        Ok(TokenKey { session, private, public, uri: uri.clone() })
    }

    fn load(&mut self, uri: &Uri) -> Result<Pkcs11, TokenReason> {
        let path = uri.module().or(self.module.clone()).ok_or(TokenReason::NoModule)?;
        if let Some((_, module)) = self.loaded.iter().find(|(loaded, _)| *loaded == path) {
            return Ok(module.clone());
        }
        let load = || {
            let module = Pkcs11::new(&path)?;
            module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
            Ok(module)
        };
        let module = load().map_err(|source| TokenReason::Module { path: path.clone(), source })?;
        self.loaded.push((path, module.clone()));
        Ok(module)
    }

    /// Being logged in is a state of the token, whatever the session: a second key of it needs no PIN.
    fn log_in(&mut self, session: &Session, info: &TokenInfo, uri: &Uri) -> Result<(), TokenReason> {
        let state = session.get_session_info()?.session_state();
        if !info.login_required() || matches!(state, SessionState::RoUser | SessionState::RwUser) {
            return Ok(());
        }
        if info.protected_authentication_path() {
            cli::note(format_args!("enter the PIN of token {} at its reader", info.label()));
            return Ok(session.login(UserType::User, None)?);
        }
        if info.user_pin_locked() {
            return Err(TokenReason::Blocked);
        }
        if info.user_pin_final_try() {
            cli::warn(format_args!("token {} blocks itself if this PIN is wrong too", info.label()));
        }
        let pin = self.pin(uri, info.label())?;
        let pin = RawAuthPin::new(Box::new(pin.as_bytes().to_vec()));
        Ok(session.login_with_raw(UserType::User, &pin)?)
    }

    fn pin(&mut self, uri: &Uri, token: &str) -> Result<Passphrase, TokenReason> {
        let ask = |file: Option<&Path>| obtain_pin(file, &format!("token {token}"));
        Ok(match (&uri.pin_value, &uri.pin_source, &self.pin_file) {
            (Some(pin), ..) => pin.clone(),
            (None, Some(file), _) => ask(Some(file))?,
            (None, None, Some(file)) => {
                if self.pin.is_none() {
                    self.pin = Some(ask(Some(file))?);
                }
                self.pin.clone().map_or_else(|| ask(None), Ok)?
            }
            (None, None, None) => ask(None)?,
        })
    }
}

/// The one token that is as `uri` says. A PIN goes to no other.
fn token(module: &Pkcs11, uri: &Uri) -> Result<(Slot, TokenInfo), TokenReason> {
    let slots = module.get_slots_with_initialized_token()?;
    let tokens: Vec<_> =
        slots.into_iter().map(|slot| Ok((slot, module.get_token_info(slot)?))).collect::<Result<_, TokenReason>>()?;
    let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let matches = |(slot, info): &&(Slot, TokenInfo)| {
        is(&uri.token, info.label())
            && is(&uri.manufacturer, info.manufacturer_id())
            && is(&uri.model, info.model())
            && is(&uri.serial, info.serial_number())
            && uri.slot_id.is_none_or(|id| id == slot.id())
    };
    let matching: Vec<_> = tokens.iter().filter(matches).collect();
    match &matching[..] {
        [one] => Ok((*one).clone()),
        several => {
            let seen = if several.is_empty() { tokens.iter().collect() } else { several.to_vec() };
            let show = |(slot, info): &(Slot, TokenInfo)| {
                format!("token {:?} (serial {:?}, slot-id {})", info.label(), info.serial_number(), slot.id())
            };
            Err(TokenReason::Tokens { matching: several.len(), seen: seen.into_iter().map(show).collect() })
        }
    }
}

/// The one Ed25519 private key that is as `uri` says.
fn private_key(session: &Session, token: &str, uri: &Uri) -> Result<ObjectHandle, TokenReason> {
    let found = session.find_objects(&template(ObjectClass::PRIVATE_KEY, uri))?;
    if let [one] = found[..] {
        return Ok(one);
    }
    let (matching, all) = (found.len(), [Attribute::Class(ObjectClass::PRIVATE_KEY)]);
    let seen = if matching == 0 { session.find_objects(&all)? } else { found };
    let seen = seen.into_iter().map(|key| describe(session, key)).collect::<Result<_, _>>()?;
    Err(TokenReason::Keys { matching, token: token.into(), seen })
}

/// The public half: the object with the same id, or without one the same label; some tokens show it at the private half.
fn public_half(session: &Session, token: &str, private: ObjectHandle) -> Result<PublicKey, TokenReason> {
    let names = session.get_attributes(private, &[AttributeType::Id, AttributeType::Label])?;
    let has_id = names.iter().any(|name| matches!(name, Attribute::Id(id) if !id.is_empty()));
    let name = names.into_iter().find(|name| matches!(name, Attribute::Id(_)) == has_id);
    let mut wanted = vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(KeyType::EC_EDWARDS)];
    wanted.extend(name);
    let mut objects = session.find_objects(&wanted)?;
    objects.push(private);
    for object in objects {
        if let Some(public) = point_of(session, object)? {
            return Ok(public);
        }
    }
    Err(TokenReason::NoPublic { token: token.into() })
}

/// Ed25519 keys of this class that are as `uri` says.
fn template(class: ObjectClass, uri: &Uri) -> Vec<Attribute> {
    let mut wanted = vec![Attribute::Class(class), Attribute::KeyType(KeyType::EC_EDWARDS)];
    wanted.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
    wanted.extend(uri.id.clone().map(Attribute::Id));
    wanted
}

/// The public key that an object shows, if any.
fn point_of(session: &Session, object: ObjectHandle) -> Result<Option<PublicKey>, TokenReason> {
    match &session.get_attributes(object, &[AttributeType::EcPoint])?[..] {
        [Attribute::EcPoint(attribute)] => point::public_key(attribute).map(Some),
        _ => Ok(None),
    }
}

/// Refuses or warns of a published test key.
fn tell(public: &PublicKey, uri: &Uri) -> Result<(), TokenReason> {
    admit(public, || uri.to_string())?.iter().for_each(cli::warn);
    Ok(())
}

/// A key as a URI would name it.
fn describe(session: &Session, key: ObjectHandle) -> Result<String, TokenReason> {
    let attributes = session.get_attributes(key, &[AttributeType::Label, AttributeType::Id, AttributeType::KeyType])?;
    let show = |attribute: &Attribute| match attribute {
        Attribute::Label(label) => Some(format!("object={:?}", String::from_utf8_lossy(label))),
        Attribute::Id(id) => Some(id.iter().fold(String::from("id="), |text, octet| text + &format!("%{octet:02x}"))),
        Attribute::KeyType(kind) if *kind != KeyType::EC_EDWARDS => Some(format!("({kind})")),
        _ => None,
    };
    Ok(attributes.iter().filter_map(show).collect::<Vec<_>>().join(" "))
}
