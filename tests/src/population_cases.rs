use tljournal::PopulateOptions;
use tljournal_testkit::Steps;
use twoliter_state::KitOptions;

use crate::cases::{Act, Case};
use crate::kit::{kit_layout, kit_tree};
use crate::trees::tools;

const KIT: &str = "build/external-kits/kit";

/// Trees that are populated once: from entries, and from the layers of a kit, over a partial kit of a killed
/// upstream.
pub(crate) fn population_cases() -> Vec<Case> {
    let populate: Act = |state| {
        let options = PopulateOptions::default();
        let done = state
            .journal()
            .populate("build/tools", "key", tools().source(), options);
        done?;
        Ok(())
    };
    let unpack: Act = |state| {
        state
            .unpack_kit(&kit_layout(), KIT, KitOptions::default())
            .map(drop)
    };
    let kit = |name| Case::new(name, Steps::new(name).tree(KIT, kit_tree())).made_by(unpack);
    let mut poisoned = kit("kit-poisoned");
    poisoned.meddle = Some(|world| {
        let index = std::fs::read_to_string(kit_layout().join("index.json")).expect("an index");
        let digest = index.split('"').find(|word| word.starts_with("sha256:"));
        world.write(&format!("{KIT}/digest"), digest.expect("a digest"));
        world.write(&format!("{KIT}/Packages/one.rpm"), "on");
    });
    let tree = Steps::new("populate").tree("build/tools", tools());
    vec![
        Case::new("populate", tree).made_by(populate),
        kit("kit-new"),
        poisoned,
    ]
}
