use std::io;

use tljournal::disk::{Call, Witness};

/// Simulates a kernel that writes at most this many bytes at a time.
#[derive(Debug, Clone, Copy)]
pub struct Short {
    bytes_max: usize,
}

impl Short {
    /// Every write ends after this many bytes.
    #[must_use]
    pub fn after(bytes_max: usize) -> Self {
        Self { bytes_max }
    }
}

impl Witness for Short {
    fn before(&self, _: &Call<'_>) -> io::Result<()> {
        Ok(())
    }

    fn write_bytes_max(&self) -> Option<usize> {
        Some(self.bytes_max)
    }
}
