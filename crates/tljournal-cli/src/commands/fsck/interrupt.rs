use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tljournal::FsckWatch;

/// Has the first Ctrl-C, or whatever else ends a command, end a check with what was found so far. The second
/// one does what it does by default.
pub(super) fn stops(watch: &Arc<FsckWatch>) {
    let watch = watch.clone();
    // Where signals cannot be caught they end it at once, which does no harm either.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else {
        return;
    };
    let wait = move || {
        for signal in signals.forever() {
            if watch.is_stopped() {
                let _ = emulate_default_handler(signal);
            }
            watch.stop();
        }
    };
    let _ = std::thread::Builder::new()
        .name("tljournal-signals".to_owned())
        .spawn(wait);
}
