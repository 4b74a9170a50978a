//! The sum of all tissues along each ray.
//!
//! Organs are added a row at a time and only where the row meets them, as straight loops over slices that
//! the compiler turns into vector code.

use crate::anatomy::Anatomy;
use crate::patient::Patient;
use crate::raster::{Cloud, Grid, Layers};

/// Attenuation of the air in a lung at full depth.
const LUNG: f32 = 0.41;
/// Attenuation of solid tissues at full depth.
const HEART: f32 = 0.09;
const MEDIASTINUM: f32 = 0.08;
const SPINE: f32 = 0.09;
const VESSEL: f32 = 0.125;
const BONE: f32 = 0.09;
/// Air in trachea, bronchi and stomach.
const TRACHEA: f32 = 0.12;
const GAS: f32 = 0.09;
/// Standard deviation of the soft texture of lung and fat.
const TEXTURE: f32 = 0.016;

/// Buffers of one row.
#[derive(Debug, Default)]
struct Row {
    /// Depth of air in the lungs, heart and mediastinum taken out.
    air: Vec<f32>,
    /// Share of the ray's lung that heart and mediastinum leave.
    clear: Vec<f32>,
    /// Edge-on ribs beside the lung.
    rim: Vec<f32>,
    cloud: Vec<f32>,
    /// How plainly bones show: less below the diaphragm.
    bone: Vec<f32>,
}

/// Adds up the attenuation of every ray.
#[derive(Debug, Default)]
pub(crate) struct Rays {
    row: Row,
    /// y of the diaphragm in each column and the factor to perpendicular distance.
    floor: Vec<[f32; 2]>,
}

/// A patient's weights of what is painted or textured.
#[derive(Clone, Copy)]
struct Weights {
    lung: f32,
    bone: f32,
    texture: f32,
}

impl Rays {
    /// Overwrites `film`, one value a pixel of `grid`, from the anatomy and the painted layers.
    pub fn sum(
        &mut self,
        patient: &Patient,
        anatomy: &Anatomy,
        grid: &Grid,
        layers: &Layers,
        film: &mut Vec<f32>,
    ) {
        let width = grid.width;
        film.resize(width * grid.height, 0.0);
        self.measure_floor(anatomy, grid);
        let row = &mut self.row;
        for buffer in [
            &mut row.air,
            &mut row.clear,
            &mut row.rim,
            &mut row.cloud,
            &mut row.bone,
        ] {
            buffer.resize(width, 0.0);
        }
        let cloud = Cloud::new(patient.film.noise_seed, 1.6).columns(&grid.xs);
        let weights = Weights {
            lung: LUNG * patient.thorax.aeration,
            bone: BONE * anatomy.skeleton.density,
            texture: TEXTURE * patient.film.texture,
        };
        for (r, &y) in grid.ys.iter().enumerate() {
            let span = r * width..(r + 1) * width;
            let out = &mut film[span.clone()];
            cloud.fill_row(y, &mut self.row.cloud);
            self.add_body(anatomy, grid, y, weights, out);
            self.add_centre(anatomy, grid, y, out);
            self.add_lungs(anatomy, grid, y);
            self.combine(layers, span, weights, out);
        }
    }

    /// Soft tissue of chest wall and abdomen.
    fn add_body(
        &mut self,
        anatomy: &Anatomy,
        grid: &Grid,
        y: f32,
        weights: Weights,
        out: &mut [f32],
    ) {
        let body = anatomy.body.row(y);
        let places = grid.xs.iter().zip(&self.floor);
        let row = self.row.cloud.iter().zip(&mut self.row.bone);
        for ((out, (&x, floor)), (cloud, bone)) in out.iter_mut().zip(places).zip(row) {
            let soft = body.depth(x);
            let inside = (3.0 * soft).min(1.0);
            let below = anatomy.abdomen.depth(y - floor[0]);
            *bone = 1.0 - 3.0 * below;
            *out = soft + inside * (below + weights.texture * cloud * (0.5 + 2.0 * below));
        }
        anatomy.body.add_breasts(y, &grid.xs, out);
    }

    /// Each column's diaphragm: the right lung's left of the midline, the left lung's right of it.
    fn measure_floor(&mut self, anatomy: &Anatomy, grid: &Grid) {
        let (left, right) = (&anatomy.lungs.left, &anatomy.lungs.right);
        let midline = anatomy.midline.x(left.base);
        let split = grid.xs.partition_point(|&x| x < midline);
        self.floor.clear();
        self.floor.extend(right.dome_columns(&grid.xs[..split]));
        self.floor.extend(left.dome_columns(&grid.xs[split..]));
    }

    /// Heart, mediastinum, trachea and spine.
    fn add_centre(&mut self, anatomy: &Anatomy, grid: &Grid, y: f32, out: &mut [f32]) {
        self.row.clear.fill(1.0);
        let mediastinum = anatomy.mediastinum.row(y);
        let (low, high) = mediastinum.span();
        let columns = grid.columns(low, high);
        let xs = &grid.xs[columns.clone()];
        for ((out, clear), &x) in out[columns.clone()]
            .iter_mut()
            .zip(&mut self.row.clear[columns])
            .zip(xs)
        {
            let depth = mediastinum.depth(x);
            *out += MEDIASTINUM * depth;
            *clear *= 1.0 - depth;
        }
        if let Some(heart) = anatomy.heart.row(y) {
            let (low, high) = heart.span();
            let columns = grid.columns(low, high);
            let xs = &grid.xs[columns.clone()];
            for ((out, clear), &x) in out[columns.clone()]
                .iter_mut()
                .zip(&mut self.row.clear[columns])
                .zip(xs)
            {
                let depth = heart.depth(x);
                *out += HEART * depth;
                *clear *= 1.0 - depth;
            }
        }
        if y < anatomy.mediastinum.carina {
            let (centre, half) = (anatomy.midline.x(y), anatomy.mediastinum.trachea);
            let columns = grid.columns(centre - half, centre + half);
            for (out, x) in out[columns.clone()].iter_mut().zip(&grid.xs[columns]) {
                let t = (x - centre) / half;
                *out -= TRACHEA * (1.0 - t * t);
            }
        }
        let spine = anatomy.skeleton.spine.row(y);
        let (low, high) = spine.span();
        let columns = grid.columns(low, high);
        for (out, &x) in out[columns.clone()].iter_mut().zip(&grid.xs[columns]) {
            *out += SPINE * spine.depth(x);
        }
    }

    /// Air of both lungs and the edge-on ribs beside them.
    fn add_lungs(&mut self, anatomy: &Anatomy, grid: &Grid, y: f32) {
        self.row.air.fill(0.0);
        self.row.rim.fill(0.0);
        for lung in [&anatomy.lungs.left, &anatomy.lungs.right] {
            let Some(row) = lung.row(y) else { continue };
            let (low, high) = row.span();
            let columns = grid.columns(low, high);
            let places = grid.xs[columns.clone()]
                .iter()
                .zip(&self.floor[columns.clone()]);
            let (air, clear) = (
                &mut self.row.air[columns.clone()],
                &self.row.clear[columns.clone()],
            );
            let rim = &mut self.row.rim[columns];
            for (((air, clear), rim), (&x, &floor)) in
                air.iter_mut().zip(clear).zip(rim).zip(places)
            {
                let d = row.distances(x, y, floor);
                *air = d.air() * clear;
                *rim = d.rim();
            }
        }
    }

    /// Subtracts the air that is left and adds what was painted.
    fn combine(
        &self,
        layers: &Layers,
        span: std::ops::Range<usize>,
        weights: Weights,
        out: &mut [f32],
    ) {
        let n = out.len();
        let (air, rim) = (&self.row.air[..n], &self.row.rim[..n]);
        let (cloud, shown) = (&self.row.cloud[..n], &self.row.bone[..n]);
        let fill = &layers.fill[span.clone()][..n];
        let vessel = &layers.vessel[span.clone()][..n];
        let back = &layers.bone_back[span.clone()][..n];
        let front = &layers.bone_front[span.clone()][..n];
        let girdle = &layers.girdle[span.clone()][..n];
        let gas = &layers.gas[span.clone()][..n];
        let metal = &layers.metal[span.clone()][..n];
        let extra = &layers.extra[span][..n];
        for i in 0..n {
            let filled = air[i] * (1.0 - fill[i]);
            let lungs =
                filled * (VESSEL * vessel[i] - weights.lung) + weights.texture * cloud[i] * air[i];
            let bones = weights.bone * shown[i] * (back[i] + front[i] + girdle[i] + rim[i]);
            out[i] += lungs + bones - GAS * gas[i] + metal[i] + extra[i];
        }
    }
}
