/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal says so.
    #[error(transparent)]
    Journal(#[from] tljournal::Error),
}
