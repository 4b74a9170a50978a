//! Sizes that the small networks share: how they see an image.

/// Side of the image the tower sees, pixels.
pub const IMAGE_SIDE: usize = 112;
/// Side of a patch, pixels.
pub const PATCH_SIDE: usize = 8;
/// Patches along one side of the image.
pub const PATCHES_PER_SIDE: usize = IMAGE_SIDE / PATCH_SIDE;
/// Image tokens: each stands for 2 x 2 patches.
pub const IMAGE_TOKENS: usize = 49;
/// Width of the tower.
pub const TOWER_WIDTH: usize = 128;
/// Heads of the tower.
pub const TOWER_HEADS: usize = 8;
/// The neighbours of a patch, rows down and columns right, one for each head to look at at first.
pub const NEIGHBOURS: [(f64, f64); TOWER_HEADS] = [
    (-1.0, -1.0),
    (-1.0, 0.0),
    (-1.0, 1.0),
    (0.0, -1.0),
    (0.0, 1.0),
    (1.0, -1.0),
    (1.0, 0.0),
    (1.0, 1.0),
];
