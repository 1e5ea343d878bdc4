/// The result of a recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Transactions past their commit point that were applied.
    pub finished: u32,
    /// Transactions that never reached their commit point.
    pub rolled_back: u32,
    /// Transactions past their commit point that met a change by another program and were rolled back.
    pub taken_back: u32,
    /// Transactions that could be neither finished nor rolled back.
    pub stuck: u32,
    /// Runs that ended without reporting their end.
    pub dead_runs: u32,
    /// Directories of finished transactions that were deleted.
    pub swept: u32,
    /// Transactions whose retained content is recorded but missing.
    pub kept_gone: u32,
    /// Trees torn by a power cut that were replaced by their previous version.
    pub trees_put_back: u32,
    /// The path of an unusable database that was set aside.
    pub database_set_aside: Option<String>,
}

impl Recovery {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
