//! Colours: of phases, told apart by every kind of eye, and of values, even to the eye.

use crate::calibration::Verdict;
use crate::results::Phase;

/// A phase's colour, out of the palette of Okabe and Ito (2008). Phases that mean the same in several rules share one.
pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Comprehension | Phase::ImmediateGeneralisation => "#009e73",
        Phase::Grokking => "#e69f00",
        Phase::Memorisation | Phase::NoGeneralisation => "#56b4e9",
        Phase::Confusion => "#cc79a7",
    }
}

/// A phase's colour among the 256 of a terminal, as close as they come.
pub(super) fn terminal(phase: Phase) -> u8 {
    match phase {
        Phase::Comprehension | Phase::ImmediateGeneralisation => 36,
        Phase::Grokking => 178,
        Phase::Memorisation | Phase::NoGeneralisation => 74,
        Phase::Confusion => 175,
    }
}

/// The colour of a verdict on a sampler among the 256 of a terminal: green is well, grey cannot be told, the rest is not.
pub(super) fn verdict(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Plateau => 36,
        Verdict::Alone | Verdict::Noisy => 250,
        Verdict::Steep => 178,
        Verdict::Drifting | Verdict::NotMixed => 74,
        Verdict::Negative | Verdict::NotLocal | Verdict::Unstable | Verdict::Diverged => 175,
    }
}

/// Dark text on one of the 256 colours of a terminal.
pub(super) fn painted(text: &str, colour: u8) -> String {
    format!("\x1b[30;48;5;{colour}m{text}\x1b[0m")
}

/// Every sixteenth of the colour map viridis, by van der Walt and Smith, in the public domain (CC0).
pub(super) const VIRIDIS: [u32; 17] = [
    0x440154, 0x48186a, 0x472d7b, 0x424086, 0x3b528b, 0x33638d, 0x2c728e, 0x26828e, 0x21918c, 0x1fa088, 0x28ae80,
    0x3fbc73, 0x5ec962, 0x84d44b, 0xaddc30, 0xd8e219, 0xfde725,
];

/// The colour at a share of the map, from dark at 0 to light at 1.
pub(super) fn viridis(share: f64) -> String {
    let position = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let below = (position.floor() as usize).min(VIRIDIS.len() - 2);
    let between = position - below as f64;
    let channel = |shift: u32| {
        let [low, high] = [VIRIDIS[below], VIRIDIS[below + 1]].map(|colour| f64::from(colour >> shift & 0xff));
        (low + between * (high - low)).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", channel(16), channel(8), channel(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_runs_from_its_first_to_its_last_colour() {
        assert_eq!(viridis(0.0), "#440154");
        assert_eq!(viridis(1.0), "#fde725");
        assert_eq!(viridis(-3.0), viridis(0.0));
        assert_eq!(viridis(0.5), "#21918c");
    }
}
