//! HyperQueue: one line.

use medfocus_plugin_api::Result;

use super::{job::Job, quote};

/// The command that hands all shards to a HyperQueue server; once a wave, then the merge.
///
/// # Errors
///
/// A folder has a name that HyperQueue would take for something else.
pub fn line(job: &Job) -> Result<String> {
    let settings = &job.settings;
    let mut words = vec!["hq".to_owned(), "submit".to_owned()];
    words.extend([
        format!("--name={}", job.name),
        format!("--array=0-{}", job.shards - 1),
        format!("--cpus={}", settings.cpus),
        format!("--cwd={}", quote::path(&job.here)?),
        "--crash-limit=unlimited".to_owned(),
    ]);
    words.extend((settings.gpus > 0).then(|| format!("--resource=gpus/nvidia={}", settings.gpus)));
    words.extend(
        settings
            .minutes
            .map(|minutes| format!("--time-limit={minutes}min")),
    );
    words.push("--wait".to_owned());
    words.push("--".to_owned());
    words.extend(job.shard());
    let wave = quote::words(&words) + "\n";
    Ok(wave.repeat(job.waves) + &quote::words(&job.merge()) + "\n")
}
