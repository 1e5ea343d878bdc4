/// What a recovery found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Transactions past their commit point that were put in place.
    pub finished: u32,
    /// Transactions that never reached their commit point.
    pub rolled_back: u32,
    /// Transactions past their commit point that met somebody else's work and were taken back.
    pub taken_back: u32,
    /// Transactions that could be neither finished nor taken back.
    pub stuck: u32,
    /// Runs that ended without saying so.
    pub dead_runs: u32,
    /// Directories of finished transactions that were cleared, because nobody holds them any more.
    pub swept: u32,
    /// Transactions of which something was recorded as kept that is not there.
    pub kept_gone: u32,
    /// Trees that a power cut tore, and what was there before is there again.
    pub trees_put_back: u32,
    /// Where a database is kept that could not be used.
    pub database_set_aside: Option<String>,
}

impl Recovery {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
