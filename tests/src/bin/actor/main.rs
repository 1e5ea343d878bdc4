//! The processes that tests start, one per module: `actor PART ARGUMENT...`. They are one program, because each
//! program links the engine.

mod hold;
mod kill_one;
mod kill_when;
mod linger;
mod peak;
mod storm_one;
mod vouch;

type Args = std::iter::Skip<std::env::Args>;
type Played = Result<(), Box<dyn std::error::Error>>;

fn main() -> Played {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("hold") => hold::play(args),
        Some("kill-one") => kill_one::play(args),
        Some("kill-when") => kill_when::play(args),
        Some("linger") => linger::play(args),
        Some("peak") => peak::play(args),
        Some("storm-one") => storm_one::play(args),
        Some("vouch") => vouch::play(args),
        _ => Err("actor hold|kill-one|kill-when|linger|peak|storm-one|vouch ARGUMENT...".into()),
    }
}
