use std::io::Write;

/// The number in an environment variable, if it is set.
///
/// # Panics
/// When it is not a number.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    let said = std::env::var(name).ok()?;
    Some(
        said.parse()
            .unwrap_or_else(|error| panic!("{name}={said}: {error}")),
    )
}

/// Prints the number of tried cases, for the summary of all tests.
pub fn counted(count: usize, what: &str) {
    let _ = writeln!(std::io::stdout(), "{COUNTED}{count} {what}");
}

/// The prefix of such a line.
pub const COUNTED: &str = "counted: ";
