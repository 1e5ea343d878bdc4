use std::io::Write;

/// The number in an environment variable, if it is set.
///
/// # Panics
/// When it is no number.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    let said = std::env::var(name).ok()?;
    Some(
        said.parse()
            .unwrap_or_else(|error| panic!("{name}={said}: {error}")),
    )
}

/// Says that so many of these were tried, for whoever adds up what all tests did.
pub fn counted(count: usize, what: &str) {
    let _ = writeln!(std::io::stdout(), "{COUNTED}{count} {what}");
}

/// How such a line begins.
pub const COUNTED: &str = "counted: ";
