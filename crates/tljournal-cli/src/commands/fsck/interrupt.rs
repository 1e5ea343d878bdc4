use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default};
use tljournal::FsckWatch;

/// Has the first Ctrl-C, or whatever else ends a command, end a check with what was found so far. The second
/// one does what it does by default.
pub(super) fn stops(watch: &FsckWatch) {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let stop = watch.stop_flag();
        // In this order: the first one finds it not stopped yet. Where signals cannot be caught they end it at
        // once, which does no harm either.
        let _ =
            register_conditional_default(signal, stop.clone()).and_then(|_| register(signal, stop));
    }
}
