use super::*;
use crate::scheduler::{Device, Requirement};

const GIB: u64 = 1 << 30;

fn refusal(lines: &str) -> String {
    Spec::parse(&format!("{BASE}{lines}"), &[]).map_or_else(|error| error.to_string(), |_| "nothing".to_owned())
}

#[test]
fn what_a_sweep_needs_is_read_and_stays_in_the_resolved_file() {
    let needs = spec("[resources]\ndevice = \"cuda\"\nmemory_gib = 16");
    assert_eq!(needs.requirement(), Requirement { device: Some(Device::Cuda), memory: 16 * GIB });
    let again = Spec::parse(needs.resolved_source(), &[]).unwrap();
    assert_eq!((again.requirement(), &again), (needs.requirement(), &needs));
    assert_ne!(needs, spec(""));
}

#[test]
fn without_a_word_any_worker_will_do() {
    assert_eq!(spec("").requirement(), Requirement::default());
    assert_eq!(spec("[resources]\ndevice = \"any\"").requirement(), Requirement::default());
}

#[test]
fn what_it_needs_can_be_overridden() {
    let needs = spec_with("", &["resources.device=cpu", "resources.memory_gib=0.5"]);
    assert_eq!(needs.requirement(), Requirement { device: Some(Device::Cpu), memory: GIB / 2 });
}

#[test]
fn nonsense_is_refused_with_its_line_and_what_is_accepted() {
    let text = refusal("[resources]\ndevice = \"tpu\"\nmemory_gib = 0\nmemory = 3");
    for part in [
        "resources.device: \"tpu\" is not accepted; accepted: \"any\", \"cpu\" or \"cuda\"",
        "resources.memory_gib: 0 is not accepted; accepted: a number of GiB above 0 and up to 1048576",
        "resources.memory: unknown key",
        "line 17",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(refusal("[resources]\nmemory_gib = \"16\"").contains("a number of GiB"));
    let scalar = Spec::parse(BASE, &["resources=cuda".to_owned()]).unwrap_err().to_string();
    assert!(scalar.contains("a table with device and memory_gib"), "{scalar}");
}
