//! `medfocus serve`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use medfocus_plugin_api::Result;

use crate::{
    serve::{self, Options},
    workbench::Workbench,
};

#[derive(Args)]
pub struct Serve {
    /// Address and port; beyond this machine only with a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8750")]
    listen: SocketAddr,
    /// File with the token that everybody must show, at least 16 characters
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Host name to answer to, besides addresses and localhost
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Model to offer, as for `attribute`; give it several times for several [default: all in the model folders whose checkpoint is here]
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// cpu or cuda:N [default: each model's own choice]
    #[arg(long)]
    device: Option<String>,
    /// Dataset whose first samples are offered
    #[arg(long, value_name = "DATASET", default_value = "phantom")]
    samples: String,
    /// Questions that wait for one device, at most
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1000))]
    queue: u64,
    /// Seconds that one answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    longest: u64,
    /// MiB of an image, at most
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=512))]
    upload: u64,
}

impl Serve {
    pub fn run(self, bench: Workbench) -> Result<ExitCode> {
        let options = Options {
            listen: self.listen,
            hosts: self.hosts,
            token: self.token_file,
            models: self.models,
            device: self.device,
            samples: self.samples,
            queue: self.queue as usize,
            longest: Duration::from_secs(self.longest),
            upload: (self.upload as usize) << 20,
        };
        serve::serve(bench, &options, |address| {
            println!(
                "serving at http://{address}/\nResearch only, not for diagnosis. Ctrl-C ends it."
            );
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
