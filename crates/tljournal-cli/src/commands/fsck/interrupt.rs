use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default};
use tljournal::FsckWatch;

/// Makes the first SIGINT, SIGTERM or SIGHUP cancel a check, which then reports what was found so far. The second one
/// has its default action.
pub(super) fn stops(watch: &FsckWatch) {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let stop = watch.stop_flag();
        // The order matters: the first signal must find the flag unset. If signals cannot be caught they end the
        // command at once, which is harmless.
        let _ =
            register_conditional_default(signal, stop.clone()).and_then(|_| register(signal, stop));
    }
}
