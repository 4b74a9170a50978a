//! Writes phantoms as PNG files: `sheet <folder> [count] [height] [width]`.

use std::path::PathBuf;

use medfocus_phantom::{CaseOptions, render, sample_case};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(
        arguments
            .next()
            .ok_or("usage: sheet <folder> [count] [height] [width]")?,
    );
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (count, height, width) = (number(24)?, number(224)?, number(224)?);
    std::fs::create_dir_all(&folder)?;
    for seed in 0..count as u64 {
        let case = sample_case(seed, &CaseOptions::default());
        let rendered = render(&case.patient, &case.findings, height, width);
        let names: Vec<_> = case
            .findings
            .iter()
            .map(|f| f.finding.name().replace(' ', "_"))
            .collect();
        let file = folder.join(format!("{seed:03}_{}.png", names.join("+")));
        let (pixels, _) = rendered.image.into_raw_vec_and_offset();
        image::save_buffer(
            file,
            &pixels,
            width as u32,
            height as u32,
            image::ColorType::L8,
        )?;
    }
    Ok(())
}
