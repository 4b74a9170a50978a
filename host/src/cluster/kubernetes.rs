//! Kubernetes: an Indexed Job.

use medfocus_plugin_api::{Error, Result};
use serde_json::{Map, Value, json};

use super::job::Job;

/// The Job that does all shards; Kubernetes does not know one that waits for another, so it is created once a wave.
///
/// # Errors
///
/// No image is named, or no volume.
pub fn manifest(job: &Job) -> Result<Value> {
    let settings = &job.settings;
    let wanted = |key: &str, value: &Option<String>| {
        value.clone().ok_or_else(|| {
            Error::missing(format!(
                "`cluster.{key}` is not set, and Kubernetes needs it"
            ))
            .with_hint("see docs/cluster.md")
        })
    };
    let (image, volume) = (
        wanted("image", &settings.image)?,
        wanted("volume", &settings.volume)?,
    );
    let mut limits = Map::from_iter([("cpu".to_owned(), json!(settings.cpus.to_string()))]);
    limits.extend(
        settings
            .memory
            .map(|mib| ("memory".to_owned(), json!(format!("{mib}Mi")))),
    );
    if settings.gpus > 0 {
        limits.insert(
            "nvidia.com/gpu".to_owned(),
            json!(settings.gpus.to_string()),
        );
    }
    let mut spec = json!({
        "completionMode": "Indexed",
        "completions": job.shards,
        "parallelism": settings.throttle.unwrap_or(job.shards).min(job.shards),
        "backoffLimitPerIndex": 6,
        "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "shard",
                "image": image,
                "command": job.shard(),
                "workingDir": job.here,
                "resources": { "limits": limits },
                "volumeMounts": [{ "name": "work", "mountPath": job.here }],
            }],
            "volumes": [{ "name": "work", "persistentVolumeClaim": { "claimName": volume } }],
        } },
    });
    if let Some(minutes) = settings.minutes {
        spec["template"]["spec"]["activeDeadlineSeconds"] = json!(minutes * 60);
    }
    // Names of a cluster's objects: lower case, digits and hyphens.
    let name = job.name.to_lowercase().replace(['_', '.'], "-");
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name.trim_end_matches('-') },
        "spec": spec,
    }))
}
