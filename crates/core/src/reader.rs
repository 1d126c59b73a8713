//! Bounds-checked cursor over received bytes: a read gives a whole field or an error.

/// Fewer octets were left than the field needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

/// Cursor over a byte slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first octet of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the next `N` octets.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer are left; nothing is taken then.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes the next octet.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if none is left.
    pub fn octet(&mut self) -> Result<u8, Truncated> {
        self.array().map(|[octet]| octet)
    }

    /// Takes the next `len` octets.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer are left; nothing is taken then.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Truncated> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// What has not been taken.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}
