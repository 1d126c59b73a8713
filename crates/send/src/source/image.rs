//! Which image is which component.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fleetcast_core::manifest::{Component, Token};

use super::ImagesError;

/// An image as the operator names it: `NAME=PATH`, or `PATH` if the release has one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageArg {
    /// Name of the component.
    pub name: Option<Token>,
    /// The image.
    pub path: PathBuf,
}

impl FromStr for ImageArg {
    type Err = Infallible;

    /// What stands before the first `=` is a name if it can be one; `./a=b` is a path.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let named = text.split_once('=').and_then(|(name, path)| Some((Token::new(name)?, path)));
        Ok(match named {
            Some((name, path)) => Self { name: Some(name), path: path.into() },
            None => Self { name: None, path: text.into() },
        })
    }
}

/// Paths of the images in the order of the components.
pub(super) fn assign<'a>(components: &[Component], images: &'a [ImageArg]) -> Result<Vec<&'a Path>, ImagesError> {
    let known = || components.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut paths = vec![None; components.len()];
    for image in images {
        let place = match (&image.name, components) {
            (None, [_]) => 0,
            (None, _) => return Err(ImagesError::Unnamed { path: image.path.clone(), known: known() }),
            (Some(name), _) => components
                .iter()
                .position(|c| c.name == *name)
                .ok_or_else(|| ImagesError::Unknown { name: name.to_string(), known: known() })?,
        };
        if let (Some(path), Some(component)) = (paths.get_mut(place), components.get(place))
            && path.replace(image.path.as_path()).is_some()
        {
            return Err(ImagesError::Twice { component: component.name.to_string() });
        }
    }
    let missing = |c: &Component| ImagesError::Missing { component: c.name.to_string() };
    components.iter().zip(paths).map(|(c, path)| path.ok_or_else(|| missing(c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_can_be_one() {
        let parse = |text: &str| {
            let Ok(ImageArg { name, path }) = text.parse();
            (name.map(|n| n.to_string()), path.display().to_string())
        };
        assert_eq!(parse("rootfs=out/image.bin"), (Some("rootfs".into()), "out/image.bin".into()));
        assert_eq!(parse("rootfs=a=b"), (Some("rootfs".into()), "a=b".into()));
        assert_eq!(parse("image.bin"), (None, "image.bin".into()));
        assert_eq!(parse("./a=b"), (None, "./a=b".into()));
        assert_eq!(parse("out/a=b"), (None, "out/a=b".into()));
    }
}
