//! Shapley values: what each of several players is worth, given what any group of them achieves.

use medfocus_attribution::Draws;

/// The groups whose value is needed, and how they become Shapley values. A group is a set of bits, one a player.
#[derive(Clone, Debug)]
pub struct Orders {
    players: usize,
    /// Orders in which the players come in; none: all of them, by the closed form.
    drawn: Vec<Vec<usize>>,
}

impl Orders {
    /// Of this many players: `draws` random orders, or all of them for 0.
    pub fn new(players: usize, draws: u32, seed: u64) -> Self {
        let order = |stream: u32| {
            let mut draws = Draws::new(seed, u64::from(stream));
            let mut order: Vec<_> = (0..players).collect();
            for last in (1..players).rev() {
                order.swap(last, draws.below(last as u32 + 1) as usize);
            }
            order
        };
        Self {
            players,
            drawn: (0..draws).map(order).collect(),
        }
    }

    /// Every group whose value is needed, each once, ascending; with nobody, everybody, each alone and all but each.
    pub fn groups(&self) -> Vec<u32> {
        let all = (1 << self.players) - 1;
        if self.drawn.is_empty() {
            return (0..=all).collect();
        }
        let one = |player: &usize| 1 << player;
        let mut groups = vec![0, all];
        for player in 0..self.players {
            groups.extend([one(&player), all & !one(&player)]);
        }
        for order in &self.drawn {
            let mut group = 0;
            groups.extend(order.iter().map(|player| {
                group |= one(player);
                group
            }));
        }
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The value of each player, whose sum is that of everybody less that of nobody.
    pub fn values(&self, of: impl Fn(u32) -> f64) -> Vec<f64> {
        let mut values = vec![0.0; self.players];
        if self.drawn.is_empty() {
            let weights = weights(self.players);
            for group in 0u32..1 << self.players {
                for player in (0..self.players).filter(|player| group >> player & 1 == 0) {
                    let gain = of(group | 1 << player) - of(group);
                    values[player] += weights[group.count_ones() as usize] * gain;
                }
            }
            return values;
        }
        for order in &self.drawn {
            let mut group = 0;
            for &player in order {
                let before = of(group);
                group |= 1 << player;
                values[player] += (of(group) - before) / self.drawn.len() as f64;
            }
        }
        values
    }
}

/// |S|! (n - |S| - 1)! / n! for each size of S.
fn weights(players: usize) -> Vec<f64> {
    // That of S + 1 is that of S times (|S| + 1) / (n - |S| - 1).
    let mut weight = 1.0 / players as f64;
    let next = |size: usize| {
        let now = weight;
        weight *= (size + 1) as f64 / (players - size - 1).max(1) as f64;
        now
    };
    (0..players).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gloves: the first player has a left one, the others have right ones; a pair is worth 1.
    fn gloves(group: u32) -> f64 {
        f64::from(u8::from(group & 1 == 1 && group > 1))
    }

    #[test]
    fn all_orders_give_the_exact_values() {
        let found = Orders::new(3, 0, 0).values(gloves);
        for (found, exact) in found.iter().zip([2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0]) {
            assert!((found - exact).abs() < 1e-12, "{found} {exact}");
        }
        assert_eq!(Orders::new(0, 0, 0).values(gloves), [0.0; 0]);
        assert_eq!(Orders::new(1, 0, 0).values(f64::from), [1.0]);
    }

    #[test]
    fn drawn_orders_come_near() {
        let found = Orders::new(3, 4000, 7).values(gloves);
        for (found, exact) in found.iter().zip([2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0]) {
            assert!((found - exact).abs() < 0.03, "{found} {exact}");
        }
    }

    proptest! {
        #[test]
        fn they_share_out_what_everybody_achieves(
            table in prop::collection::vec(-5.0f64..5.0, 32), draws in 0u32..6, seed in 0u64..9,
        ) {
            let orders = Orders::new(5, draws, seed);
            let groups = orders.groups();
            prop_assert!(groups.windows(2).all(|pair| pair[0] < pair[1]));
            let of = |group: u32| {
                assert!(groups.contains(&group));
                table[group as usize]
            };
            let sum: f64 = orders.values(of).iter().sum();
            prop_assert!((sum - (table[31] - table[0])).abs() < 1e-9);
        }

        #[test]
        fn of_what_adds_up_each_gets_their_own(own in prop::collection::vec(-5.0f64..5.0, 6), draws in 0u32..4) {
            let of = |group: u32| (0..6).filter(|p| group >> p & 1 == 1).map(|p| own[p]).sum::<f64>();
            for (found, own) in Orders::new(6, draws, 1).values(of).iter().zip(&own) {
                prop_assert!((found - own).abs() < 1e-9);
            }
        }
    }
}
