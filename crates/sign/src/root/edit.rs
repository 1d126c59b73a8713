//! Changes to a root that nobody has signed yet. Each leaves a root that devices take, or changes nothing.

use std::fmt;

use fleetcast_core::trust::{Grant, KeyId, MAX_GRANTS, MAX_KEYS, PublicKey, Root, TrustError, TrustedKeys};

use super::RootError;

/// A role of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Signs roots.
    Root,
    /// Authors of the grant with this number, from 1.
    Release(usize),
    /// Must have signed too, under the grant with this number.
    Operator(usize),
    /// Signs beacons.
    Beacon,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => write!(f, "role root"),
            Self::Release(grant) => write!(f, "role release of grant {grant}"),
            Self::Operator(grant) => write!(f, "role operator of grant {grant}"),
            Self::Beacon => write!(f, "role beacon"),
        }
    }
}

/// All roles that a root has, in its order.
#[must_use]
pub fn roles(root: &Root) -> Vec<(Role, &TrustedKeys)> {
    let mut roles = vec![(Role::Root, &root.root)];
    for (number, grant) in (1..).zip(&root.grants) {
        roles.push((Role::Release(number), &grant.author));
        roles.extend(grant.operator.as_ref().map(|operator| (Role::Operator(number), operator)));
    }
    roles.extend(root.beacon.as_ref().map(|beacon| (Role::Beacon, beacon)));
    roles
}

/// Adds keys to a role. One that is not there yet is made, with threshold 1.
///
/// # Errors
///
/// [`RootError`] if a key has the role already, or there would be too many.
pub fn add_keys(root: &Root, role: Role, keys: Vec<PublicKey>) -> Result<Root, RootError> {
    let (mut all, threshold) = match held(root, role)? {
        Some(held) => (held.keys().to_vec(), held.threshold()),
        None => (Vec::new(), 1),
    };
    all.extend(keys);
    let mut next = root.clone();
    set(&mut next, role, Some(keys_of(role, all, threshold)?))?;
    checked(next)
}

/// Removes a key from a role, or from all that it has.
///
/// # Errors
///
/// [`RootError`] if it has none of them, or a threshold could not be met without it.
pub fn remove_key(root: &Root, key: KeyId, role: Option<Role>) -> Result<Root, RootError> {
    let is_its = |held: &TrustedKeys| held.keys().iter().any(|other| other.key_id() == key);
    let places: Vec<Role> = match role {
        Some(role) => held(root, role)?.filter(|held| is_its(held)).map(|_| role).into_iter().collect(),
        None => roles(root).into_iter().filter(|(_, held)| is_its(held)).map(|(role, _)| role).collect(),
    };
    if places.is_empty() {
        return Err(RootError::Absent { key, role });
    }
    let mut next = root.clone();
    for role in places {
        let Some(held) = held(root, role)? else { continue };
        let rest = held.keys().iter().filter(|other| other.key_id() != key).cloned().collect();
        set(&mut next, role, Some(keys_of(role, rest, held.threshold())?))?;
    }
    checked(next)
}

/// Sets how many keys of a role must sign.
///
/// # Errors
///
/// [`RootError`] if there are fewer keys, or there is no such role.
pub fn set_threshold(root: &Root, role: Role, threshold: u8) -> Result<Root, RootError> {
    let held = held(root, role)?.ok_or(RootError::NoRole { role })?;
    let mut next = root.clone();
    set(&mut next, role, Some(keys_of(role, held.keys().to_vec(), threshold)?))?;
    checked(next)
}

/// Removes a role that need not be: operator or beacon.
///
/// # Errors
///
/// [`RootError`] if it must be, or is not there.
pub fn remove_role(root: &Root, role: Role) -> Result<Root, RootError> {
    if held(root, role)?.is_none() {
        return Err(RootError::NoRole { role });
    }
    let mut next = root.clone();
    set(&mut next, role, None)?;
    checked(next)
}

/// Adds a grant behind those that are there.
///
/// # Errors
///
/// [`RootError`] if there are too many, or of anything in it.
pub fn add_grant(root: &Root, grant: Grant) -> Result<Root, RootError> {
    let mut next = root.clone();
    next.grants.push(grant);
    checked(next)
}

/// Removes the grant with this number, from 1.
///
/// # Errors
///
/// [`RootError`] if there is none, or it is the only one.
pub fn remove_grant(root: &Root, number: usize) -> Result<Root, RootError> {
    let mut next = root.clone();
    next.grants.remove(index(root, number)?);
    checked(next)
}

/// Keys of a role, and how many of them must sign.
///
/// # Errors
///
/// [`RootError`] if a key stands there twice, or the threshold cannot be met.
pub fn keys_of(role: Role, keys: Vec<PublicKey>, threshold: u8) -> Result<TrustedKeys, RootError> {
    TrustedKeys::new(keys, threshold).map_err(|error| match error {
        TrustError::Duplicate { key } => RootError::Present { key, role },
        _ => RootError::Threshold { role, source: error },
    })
}

/// The root, if devices take it.
///
/// # Errors
///
/// [`RootError`].
pub fn checked(root: Root) -> Result<Root, RootError> {
    let count = root.keys().len();
    if count > MAX_KEYS {
        return Err(RootError::TooMany { what: "keys", count, most: MAX_KEYS });
    }
    match root.grants.len() {
        0 => return Err(RootError::LastGrant),
        count if count > MAX_GRANTS => return Err(RootError::TooMany { what: "grants", count, most: MAX_GRANTS }),
        _ => {}
    }
    for (grant, Grant { author, operator, .. }) in (1..).zip(&root.grants) {
        let operators = operator.iter().flat_map(TrustedKeys::keys);
        if let Some(key) = operators.into_iter().find(|key| author.keys().contains(key)) {
            return Err(RootError::Both { key: key.key_id(), grant });
        }
    }
    root.encode()?;
    Ok(root)
}

/// Who has a role, if it is there.
fn held(root: &Root, role: Role) -> Result<Option<&TrustedKeys>, RootError> {
    Ok(match role {
        Role::Root => Some(&root.root),
        Role::Release(grant) => Some(&root.grants[index(root, grant)?].author),
        Role::Operator(grant) => root.grants[index(root, grant)?].operator.as_ref(),
        Role::Beacon => root.beacon.as_ref(),
    })
}

fn set(root: &mut Root, role: Role, keys: Option<TrustedKeys>) -> Result<(), RootError> {
    match (role, keys) {
        (Role::Root, Some(keys)) => root.root = keys,
        (Role::Release(grant), Some(keys)) => {
            let index = index(root, grant)?;
            root.grants[index].author = keys;
        }
        (Role::Operator(grant), keys) => {
            let index = index(root, grant)?;
            root.grants[index].operator = keys;
        }
        (Role::Beacon, keys) => root.beacon = keys,
        (Role::Root | Role::Release(_), None) => return Err(RootError::Needed { role }),
    }
    Ok(())
}

fn index(root: &Root, grant: usize) -> Result<usize, RootError> {
    let index = grant.checked_sub(1).filter(|index| *index < root.grants.len());
    index.ok_or(RootError::NoGrant { grant, grants: root.grants.len() })
}
