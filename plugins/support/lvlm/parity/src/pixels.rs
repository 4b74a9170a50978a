//! Images to pixels: exact to the last bit.

use medfocus_lvlm::network::Family;

use crate::fixture::{Fixtures, check_within};

pub fn pixels_are_those_of_the_reference<F: Family>(fixtures: &Fixtures<F>) {
    for fixture in fixtures.all() {
        for index in 0..3 {
            let name = format!("pixels.{index}");
            let expected = fixture.tensor(&name);
            // Fixtures hold one channel where all three are the same.
            let found = fixture
                .pixels(index)
                .squeeze_dim(0)
                .narrow(0, 0, expected.size()[0]);
            check_within(&format!("{} {name}", fixture.name), &found, expected, 0.0);
        }
    }
}
